"""Example sentences of everyday language: the page of `torchmoji.server.demo` shows those nearest to a text.

Written for this project, many moods and topics, with the loose spelling of short messages here and there. A
line that starts with # is the topic of the lines below it.
"""

CHIPS = (
    "I love mom's cooking",
    "not again.. my train is late",
    "we won the final!!!",
    "oh great, another meeting",
    "I miss you so much",
)
"""Texts to try with one click."""

_LINES = """
# joy
I am so happy I could dance
Best day of my life
Today was perfect from start to finish
I can't stop smiling
Everything is finally going my way
What a wonderful surprise
I feel so alive right now
Yesss, I did it!
Sunshine, coffee and no plans
I woke up in such a good mood
# love
I love you more than words can say
She said yes!
Happy anniversary to the love of my life
You make every day better
I fall for you again every morning
Holding your hand is my favorite thing
I married my best friend
Can't wait to see you tonight
My heart jumps when you text me
Good night my love, sweet dreams
You are my home
# flirting
Hey you, nice smile
You look good in that dress
Are you free on Saturday night?
I had a dream about you last night
Stop staring at me like that, or don't
Come over and watch a movie with me
You know exactly what you are doing
I bet you say that to everyone
# anger
I am so angry right now
Leave me alone
Stop lying to me
This is the worst service I have ever had
How dare you talk to me like that
I'm done with this company
Somebody scratched my car and drove off
My neighbors have been drilling since six in the morning
Don't ever touch my things again
Why does nobody listen to me?
They cancelled my flight and won't pay me back
I hate it when people are late
# annoyance
Ugh, not this again
Can you please chew with your mouth closed
My phone died at the worst moment
The wifi is down again
People who walk slowly in front of me should be fined
Seriously, who ate my lunch?
I've been on hold for forty minutes
Another update, another restart
Who leaves one sheet on the roll?
# sadness
I miss you so much it hurts
I cried myself to sleep
Nothing feels right since you left
We said goodbye to our old dog today
It hurts to see you with someone else
I feel so lonely tonight
I wish I could turn back time
My grandma passed away this morning
Everyone forgot my birthday
I don't know how to go on without her
This song makes me cry every time
He broke my heart in two
# worry and fear
I'm scared of the results tomorrow
Please call me back, I'm worried
I heard a noise downstairs and I'm home alone
My hands are shaking before the interview
I hate flying, pray for me
There is a huge spider in my room
What if nobody likes me there?
The doctor wants to see me again
I can't watch horror movies alone
Something is wrong and I can feel it
I have a bad feeling about this
# sarcasm
Oh great, another meeting that could have been an email
Well, that went perfectly, didn't it
Thanks for nothing
I just love being stuck in traffic
Sure, because that always works
Wow, what a shock, he is late again
Monday, my absolute favorite day
Nice of you to finally show up
Yeah right, like I believe that
I love how you never answer my messages
Good job breaking it, genius
# laughter
I laughed so hard I cried
My dad just tried to use a filter, I can't
That joke killed me
He fell off the chair in the middle of the call
I'm dead, look at his face
My cat just slapped my brother
We laughed until our bellies hurt
lol that is so me
Autocorrect will be the end of me
I can't breathe, this video is too funny
# embarrassment
I waved at someone who wasn't waving at me
I just called my teacher mom
I sent that text to the wrong person
I tripped in front of the whole class
My stomach growled in the silent room
Why did I say that out loud
I had something in my teeth all day
My mic was on the whole time
Please tell me nobody saw that
# surprise
Wait, what?
I did not see that coming
You are kidding, right?
No way, that is really you?
I just saw my ex at the supermarket
I can't believe my eyes
They doubled the price overnight
He quit without telling anyone
Look who is back
# tiredness and sleep
I'm so tired I could sleep standing
Three hours of sleep and a long day ahead
Just five more minutes please
I need a nap
My bed is calling me
Can't sleep again, it's four in the morning
Naps are the best part of the weekend
Up since five, send coffee
I slept for eleven hours and I'm still tired
Good night everyone
I keep yawning in this meeting
# boredom
I'm so bored
There is nothing on tv
Somebody text me, I have nothing to do
This lecture never ends
Waiting at the airport for five hours
Rainy Sunday and nobody around
I've looked at the clock ten times this minute
Same thing every single day
# illness
I have a fever and everything hurts
This cold is killing me
My head is pounding
Stuck in bed with the flu
The dentist tomorrow, wish me luck
I can't taste anything
I threw up twice on the bus
My back hurts from all that lifting
Feeling better today, thanks for asking
# food
This pizza is heaven
I could eat pasta every day
Grandma's soup fixes everything
I'm starving, when is dinner?
Fresh bread straight from the oven
I ate way too much
Ice cream for breakfast, don't judge me
These tacos are so good
I burned the rice again
Who wants chocolate cake?
That burger changed my life
This milk smells funny
Too much garlic? No such thing
# drinks and parties
Cheers to the weekend!
Party at my place tonight
I'm never drinking again
Coffee first, then we talk
Tonight we dance until the sun comes up
Wine and an old movie, perfect evening
The music is loud and the floor is full
Hangover level one hundred
Let's toast to old friends
# work
My boss just gave me more work on a Friday
I got promoted!
First day at the new job, so nervous
Back to work after two weeks off
I quit my job today and it feels amazing
Deadline tomorrow and I haven't started
My inbox is a nightmare
Working late again
Our team is the best
I have to work on Christmas
Almost weekend, keep going
They hired someone half as good as you
# school
I passed my exam!
I failed the test I studied weeks for
Homework until midnight again
No school tomorrow because of the snow
Why is math so hard
Last exam today, then summer
I forgot my essay at home
Graduation day, we made it
My group did nothing and I wrote the whole paper
# money
Payday at last
I'm broke until the end of the month
Rent went up again
I found twenty bucks in my old jacket
Spent way too much on shoes today
We finally paid off the house
He still owes me money
Everything is so expensive these days
Sold my old bike for more than I paid
# music
This song is stuck in my head
Turn it up, I love this part
Got tickets for the concert!
New album out tonight, I can't wait
I play this track on repeat all day
The band was incredible live
Learning the guitar, sorry neighbors
Singing in the car at the top of my lungs
That bass line gives me chills
Headphones on, world off
# film, books and games
That ending destroyed me
No spoilers please, I'm on episode three
I've watched this show four times
One more chapter and then I sleep
I lost again to a kid half my age
Best game I have played this year
The book was so much better than the movie
I can't believe they killed him off
Finally beat the last boss
# sport
We won the final!
What a goal!
The referee needs glasses
Leg day was brutal
Ran my first ten kilometers today
We lost in the last minute
Training hard for the marathon
Let's go, champions!
New personal best at the gym
My knee is done for the season
Game day, wear your colors
Never skip a workout
# travel
On my way to the airport
The beach, the sun and a good book
Take me back to last summer
Lost my luggage in Madrid
Road trip with my favorite people
The view from up here is unreal
Vacation starts now
I miss home already
The train is late again
First time in New York and I'm in love with it
We missed our flight by two minutes
# weather
It's snowing!
Rain, rain and more rain
It's way too hot to think
What a beautiful sunset
The storm took out the power
Finally some sun
It's freezing outside, stay warm
Perfect day for the pool
I love the smell of rain
Fog so thick I can't see the road
# pets and animals
My puppy learned to sit today
The cat is asleep on my keyboard
Look at those little paws
He greets me at the door every single day
My dog ate my homework, really
We adopted a kitten
A bird just stole my sandwich
The dog is snoring louder than my husband
Baby elephants are the cutest
The hamster escaped again
# family and friends
Family dinner on Sunday, can't wait
My little sister is growing up so fast
Best friends since kindergarten
Mom, I love you
My brother ate all the cookies
Our baby girl was born this morning
Game night with the crew
Dad jokes all the way through dinner
I have the best friends in the world
The kids are finally asleep
So proud of my son
# congratulation
Congratulations, you deserve it!
Happy birthday, have an amazing day
Well done, I knew you could do it
Welcome to the team
Happy new year everyone
Congrats on the new house
Merry Christmas to you and your family
You nailed that speech
Twenty years together, here's to many more
# gratitude
Thank you so much for your help
I really appreciate you
Thanks for always being there
I don't know what I would do without you
So grateful for this life
A stranger paid for my coffee today
Thank you all for the birthday wishes
You saved my day
# prayer and hope
Praying for everyone in the storm
Please let it be good news
God is good
Keep her in your prayers
Fingers crossed for tomorrow
Rest in peace, old friend
Thank God it is over
Have faith, better days are coming
Sending strength to your family
# encouragement
You got this
Never give up
Believe in yourself
One step at a time
Keep your head up, it gets better
I'm proud of how far you have come
Don't let them get to you
You are stronger than you think
Tomorrow is a new day
# pride and confidence
I worked hard for this
Nobody can stop me now
Feeling good, looking good
Told you I could do it
I'm the boss here
New haircut, new me
Watch and learn
Self-made and proud of it
# agreement and refusal
Exactly what I was thinking
One hundred percent true
I couldn't agree more
No, absolutely not
Not my problem
Talk to the hand
I'm out, good luck with that
Whatever you say
Deal, see you at eight
I'm not doing that again
# doubt and indifference
I don't know what to say
I have no idea what is going on
Maybe, maybe not
I don't care anymore
It is what it is
Whatever, I'm over it
I don't get the joke
Hmm, that sounds strange
Is it just me?
# jealousy and disappointment
Must be nice to have a week off
Why does she always get the good seats
I expected more from you
The concert got cancelled
I waited all day and he didn't come
Everyone is on vacation except me
You promised you would be there
So close and yet so far
Sold out again, of course
# apology
I'm so sorry, it was my fault
Forgive me, I didn't mean it
Sorry I missed your call
I should have told you sooner
I feel terrible about what I said
Please don't be mad at me
# gossip and mischief
I know something you don't
Don't tell anyone I told you
Did you see what she posted?
I'm just going to leave this here
Popcorn ready, this will be good
My lips are sealed
Oops, was that a secret?
Guess who is back together
Let's do something stupid
# calm
A quiet morning by the lake
Tea, a blanket and rain on the window
Breathe in, breathe out
Yoga done, mind at ease
Nothing beats a walk in the woods
Candles on, phone off
The garden is full of bees
Peace at last
# technology
My laptop crashed and took my thesis with it
It works on my machine
Finally fixed the bug after three days
The new phone is amazing
Why does the printer hate me
I forgot my password again
My battery is at one percent
The server went down at midnight
"""

EXAMPLES = tuple(line for line in _LINES.splitlines() if line and not line.startswith("#"))
"""The example sentences, each once."""
