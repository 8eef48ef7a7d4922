// The page of the server: asks /read while one types, and /columns and /file for files. Every text is put into the
// page as text, never as HTML.
(() => {
  const CHIPS = ["I love mom's cooking", "not again.. my train is late", "we won the final!!!",
    "oh great, another meeting", "I miss you so much"];
  const WHICH = { first: "your text", second: "the second text" };
  const TYPING_MS = 60, RESTED_MS = 1000, PREVIEWED = 5, LONGEST_CELL = 60;
  const $ = (selector) => document.querySelector(selector);
  const box = (which) => $(`#${which}-text textarea`);
  const invitations = { first: $("#first .empty").textContent, second: $("#second .empty").textContent };
  let info = { classes: [], balance: null }, key = "";

  // --- elements

  function make(tag, properties = {}, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(properties)) {
      if (name.includes("-") || name === "role") element.setAttribute(name, value);
      else element[name] = value;
    }
    element.append(...children.filter((child) => child !== null));
    return element;
  }
  const span = (className, text) => make("span", { className, textContent: text });
  const percent = (share) => share > 0 && share < 0.01 ? "<1%" : `${Math.round(100 * share)}%`;
  const nameOf = (score) => score.alias.replaceAll("_", " ");
  // in colour: with the selector for it behind ❤ ☺ ✌ and the like
  const shown = (emoji) => /^[\u2600-\u27bf]$/u.test(emoji) && emoji !== "♡" ? emoji + "\ufe0f" : emoji;

  function sign(score, className) { // nothing for a class that is a word
    if (score.emoji === score.alias) return null;
    return make("span", { className, textContent: shown(score.emoji), "aria-hidden": "true" });
  }
  function track(share) {
    const bar = make("span");
    bar.style.width = `${100 * Math.max(0, share)}%`;
    return make("span", { className: "track", "aria-hidden": "true" }, bar);
  }
  function empty(text) { return make("p", { className: "empty", textContent: text }); }

  // --- messages: a toast for what is wrong, a live region for what is new once typing rests

  function complain(message) {
    $("#toast p").textContent = message.charAt(0).toUpperCase() + message.slice(1) + ".";
    $("#toast").hidden = false;
  }
  $("#toast button").onclick = () => { $("#toast").hidden = true; };

  const news = new Map();
  let resting;
  function say(place, message) {
    if (news.get(place) === message) return;
    news.set(place, message);
    clearTimeout(resting);
    const fresh = say.fresh ??= new Set();
    fresh.add(place);
    resting = setTimeout(() => {
      $("#live").textContent = [...fresh].map((name) => news.get(name)).filter(Boolean).join(". ");
      fresh.clear();
    }, RESTED_MS);
  }

  // --- requests

  async function ask(path, options = {}) {
    const headers = { ...options.headers, ...(key && { Authorization: `Bearer ${key}` }) };
    let answer;
    try {
      answer = await fetch(path, { ...options, headers });
    } catch (error) {
      throw error.name === "AbortError" ? error : new Error("the server cannot be reached");
    }
    if (answer.ok) return answer;
    if (answer.status === 401) $("#key").hidden = false;
    const told = await answer.json().catch(() => ({ error: `the server answered ${answer.status}` }));
    throw new Error(told.error);
  }
  const post = (path, value) =>
    ask(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(value) });

  $("#key").onsubmit = (event) => {
    event.preventDefault();
    key = $("#key input").value;
    $("#key").hidden = $("#toast").hidden = true;
    start();
  };

  // --- texts

  function words(reading) {
    const shaded = make("p", { className: "words" });
    const points = [...reading.text]; // places are in code points
    if (points.length > 200) shaded.tabIndex = 0; // what scrolls needs the focus
    const highest = Math.max(...reading.words.map((word) => word.weight)) || 1;
    let place = 0;
    for (const word of [...reading.words].sort((a, b) => a.start - b.start)) {
      if (word.start < place) continue; // several words made of one character
      shaded.append(points.slice(place, word.start).join(""));
      const mark = make("mark", { textContent: points.slice(word.start, word.end).join("") });
      mark.title = `${word.word}: ${percent(word.weight)}`;
      mark.style.setProperty("--shade", (0.6 * word.weight / highest).toFixed(2));
      shaded.append(mark);
      place = word.end;
    }
    shaded.append(points.slice(place).join(""));
    const told = reading.words.map((word) => `${word.word} ${percent(word.weight)}`).join(", ");
    return [shaded, make("p", { className: "hidden-text", textContent: `Weights: ${told}.` })];
  }

  function copyButton(text, label) {
    const button = make("button", { type: "button", className: "copy", textContent: label });
    button.onclick = async () => {
      try {
        await navigator.clipboard.writeText(text);
      } catch { // no secure context
        const area = make("textarea", { value: text });
        document.body.append(area);
        area.select();
        document.execCommand("copy");
        area.remove();
        button.focus();
      }
      button.textContent = "Copied";
      $("#live").textContent = "Copied";
      setTimeout(() => { button.textContent = label; }, 1500);
    };
    return button;
  }

  function top(scores, text) {
    if (!scores.length) return [make("p", { className: "note", textContent: "No class reaches its threshold." })];
    const [best] = scores;
    const name = span("top-name", nameOf(best));
    name.append(span("top-share", percent(best.probability)));
    const classes = scores.map((score) => shown(score.emoji)).join(" ");
    const copies = make("span", { className: "copies" },
      copyButton(`${text} ${shown(best.emoji)}`, "Copy text"), copyButton(classes, "Copy all"));
    const bars = scores.map((score) => make("li", {}, sign(score, "sign") ?? "", span("name", nameOf(score)),
      track(score.probability), span("share", percent(score.probability))));
    return [make("div", { className: "top" }, sign(best, "big"), name, copies),
      make("ol", { className: "bars" }, ...bars)];
  }

  function show(which, reading) {
    const said = WHICH[which], target = $(`#${which}`);
    if (!reading.words.length) {
      target.replaceChildren(empty("There are no words in this text."));
      say(which, `${said}: no words`);
      return;
    }
    const [best] = reading.emojis;
    say(which, `${said}: ${best ? `${nameOf(best)}, ${percent(best.probability)}` : "no class"}`);
    const heading = (text) => make("h2", { textContent: text });
    const note = (text) => make("p", { className: "note", textContent: text });
    const section = make("section", { className: "reading", "aria-label": `Result for ${said}` },
      ...top(reading.emojis, reading.text));
    if (info.multi_label) section.append(note("Each class is judged on its own."));
    if (reading.emotions) {
      const strongest = Object.entries(reading.emotions).sort((a, b) => b[1] - a[1]).slice(0, 3);
      const items = strongest.map(([name, value]) =>
        make("li", {}, `${name} `, make("b", { textContent: value.toFixed(2) })));
      section.append(heading("Emotions"), make("ul", { className: "emotions" }, ...items));
    }
    section.append(heading("Words by attention"), ...words(reading));
    if (reading.cut) section.append(note(`The model read the first ${reading.words.length} words.`));
    if (reading.nearest.length) {
      const items = reading.nearest.map((near) => make("li", {}, sign(near, "sign"), span("sentence", near.text),
        span(near.emoji === near.alias ? "tag" : "hidden-text", nameOf(near)),
        span("hidden-text", ", similarity"), span("share", near.similarity.toFixed(2))));
      section.append(heading("Nearest example sentences"), make("ol", { className: "nearest" }, ...items));
    }
    target.replaceChildren(section);
  }

  function compare(found) {
    if (found.similarity === undefined) {
      $("#both").replaceChildren();
      news.delete("both");
      return;
    }
    const value = found.similarity.toFixed(2);
    say("both", `Similarity ${value}`);
    $("#both").replaceChildren(make("p", { className: "similarity" },
      make("span", {}, "Similarity of both ", make("b", { textContent: value })), track(found.similarity),
      make("span", { textContent: `closer than ${percent(found.closer_than)} of pairs of example sentences` })));
  }

  let typing, isAsking = false, isOld = false;
  function changed() {
    clearTimeout(typing);
    typing = setTimeout(update, TYPING_MS);
  }
  async function update() { // of several changes during a request only the last counts
    if (isAsking) { isOld = true; return; }
    isAsking = true;
    do {
      isOld = false;
      const places = ["first", "second"].filter((which) => box(which).value.trim());
      for (const which of ["first", "second"]) {
        if (!places.includes(which)) $(`#${which}`).replaceChildren(empty(invitations[which]));
      }
      try {
        const inputs = places.map((which) => box(which).value);
        const balance = info.balance === null ? null : Number($("#balance-value").value);
        const found = places.length ? await (await post("read", { inputs, balance })).json() : {};
        if (!isOld) {
          places.forEach((which, number) => show(which, found.readings[number]));
          compare(found);
        }
      } catch (error) {
        complain(error.message);
      }
    } while (isOld);
    isAsking = false;
  }

  for (const text of CHIPS) {
    const chip = make("button", { type: "button", textContent: text });
    chip.onclick = () => { box("first").value = text; update(); };
    $("#chips").append(chip);
  }
  for (const which of ["first", "second"]) box(which).oninput = changed;
  $("#balance-value").oninput = () => {
    $("#balance output").value = Number($("#balance-value").value).toFixed(2);
    changed();
  };

  // --- tabs

  const tabs = [...document.querySelectorAll("[role=tab]")];
  function choose(tab) {
    for (const other of tabs) {
      other.setAttribute("aria-selected", String(other === tab));
      other.tabIndex = other === tab ? 0 : -1;
      $(`#${other.getAttribute("aria-controls")}`).hidden = other !== tab;
    }
  }
  for (const [number, tab] of tabs.entries()) {
    tab.onclick = () => choose(tab);
    tab.onkeydown = (event) => {
      const places = { ArrowRight: number + 1, ArrowLeft: number - 1, Home: 0, End: -1 };
      if (!(event.key in places)) return;
      event.preventDefault();
      const next = tabs.at(places[event.key] % tabs.length);
      choose(next);
      next.focus();
    };
  }

  // --- files

  const input = $("#upload input");
  let running = null, address = null;
  const query = (values) => new URLSearchParams(values).toString();

  function showStatus(...parts) {
    if (address) URL.revokeObjectURL(address);
    address = null;
    $("#status").replaceChildren(...parts);
  }

  async function chosen() {
    const file = input.files[0];
    $("#start").disabled = $("#column").disabled = true;
    $("#column").replaceChildren();
    $("#toast").hidden = true;
    showStatus(empty("The result appears here."));
    if (!file) return;
    try {
      if (file.size > info.max_file) throw new Error(`the file ${file.name} is larger than ${info.max_file >> 20} MB`);
      const answer = await ask(`columns?${query({ name: file.name })}`, { method: "POST", body: file });
      const found = await answer.json();
      if (file !== input.files[0]) return;
      $("#column").append(...found.columns.map((name) => make("option", { value: name, textContent: name })));
      $("#column").value = found.column;
      $("#column").disabled = !found.columns.length;
      $("#start").disabled = false;
      const rows = `${found.rows.toLocaleString("en")} row${found.rows === 1 ? "" : "s"}`;
      showStatus(empty(`${file.name}: ${rows}.`));
      say("file", rows);
    } catch (error) {
      input.value = "";
      complain(error.message);
    }
  }
  input.onchange = chosen;
  for (const [kind, isOver] of [["dragover", true], ["dragleave", false], ["drop", false]]) {
    $("#upload").addEventListener(kind, (event) => {
      event.preventDefault();
      $("#upload").classList.toggle("over", isOver);
      if (kind === "drop" && event.dataTransfer.files.length) {
        input.files = event.dataTransfer.files;
        chosen();
      }
    });
  }

  async function received(answer, progress, total) {
    const pieces = [], reader = answer.body.getReader();
    let rows = -1;
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return new Blob(pieces);
      pieces.push(value);
      for (const byte of value) rows += byte === 10;
      progress.value = Math.min(total, Math.max(0, rows));
    }
  }

  function parsed(text, name) { // the first rows of what the server wrote, as lists of cells
    if (name.endsWith(".jsonl")) {
      const rows = text.split("\n", PREVIEWED).filter(Boolean).map((line) => JSON.parse(line));
      const columns = [...new Set(rows.flatMap(Object.keys))];
      const cell = (value) => typeof value === "string" ? value : JSON.stringify(value ?? "").replace(/^""$/, "");
      return [columns, ...rows.map((row) => columns.map((column) => cell(row[column])))];
    }
    const tab = name.endsWith(".tsv"), head = text.split("\n", 1)[0];
    const mark = tab ? "\t" : head.includes(";") && !head.includes(",") ? ";" : ",";
    const rows = [[""]];
    let isQuoted = false;
    for (let n = 0; n < text.length && rows.length <= PREVIEWED + 1; n++) {
      const character = text[n], row = rows.at(-1);
      if (character === '"' && isQuoted && text[n + 1] === '"') row[row.length - 1] += text[++n];
      else if (character === '"') isQuoted = !isQuoted;
      else if (character === mark && !isQuoted) row.push("");
      else if (character === "\n" && !isQuoted) rows.push([""]);
      else row[row.length - 1] += character;
    }
    return rows.slice(0, -1);
  }

  function table(rows, total) {
    const [head, ...body] = rows;
    const short = (text) => text.length > LONGEST_CELL ? `${text.slice(0, LONGEST_CELL - 1)}…` : text;
    const cell = (text, number) =>
      make("td", { textContent: short(text), className: head[number]?.startsWith("emoji_") ? "sign" : "" });
    const caption = body.length < total ? `The first ${body.length} rows` : "All rows";
    return make("div", { className: "table", tabIndex: 0, role: "region", "aria-label": "Preview" },
      make("table", {}, make("caption", { textContent: caption }),
        make("thead", {}, make("tr", {}, ...head.map((name) => make("th", { scope: "col", textContent: name })))),
        make("tbody", {}, ...body.map((row) => make("tr", {}, ...row.map(cell))))));
  }

  $("#file").onsubmit = async (event) => {
    event.preventDefault();
    const file = input.files[0];
    const values = { name: file.name, top_k: $("#top-k").value, column: $("#column").value };
    if (info.balance !== null) values.balance = $("#balance-value").value;
    running = new AbortController();
    $("#start").disabled = true;
    $("#stop").hidden = false;
    $("#toast").hidden = true;
    const progress = make("progress", { "aria-label": "Rows done" });
    showStatus(progress);
    try {
      const answer = await ask(`file?${query(values)}`, { method: "POST", body: file, signal: running.signal });
      const total = Number(answer.headers.get("X-Rows"));
      const name = decodeURIComponent(answer.headers.get("Content-Disposition").split("''")[1]);
      if (!name.endsWith(".parquet")) progress.max = Math.max(1, total);
      const blob = await received(answer, progress, total);
      const rows = `${total.toLocaleString("en")} row${total === 1 ? "" : "s"}`;
      const parts = [make("p", { className: "done", textContent: `Done: ${rows}.` })];
      if (!name.endsWith(".parquet") && total) {
        const text = (await blob.slice(0, 1 << 18).text()).replace(/^\ufeff/, "");
        try { parts.push(table(parsed(text, name), total)); } catch { /* a row longer than what was taken */ }
      }
      showStatus(...parts);
      address = URL.createObjectURL(blob);
      const link = make("a", { id: "download", className: "primary", href: address, download: name });
      link.textContent = `Download ${name}`;
      $("#status .done").after(link);
      say("file", `Done, ${rows}`);
    } catch (error) {
      showStatus(empty("The result appears here."));
      if (error.name !== "AbortError") complain(error.message);
    }
    $("#start").disabled = false;
    $("#stop").hidden = true;
  };
  $("#stop").onclick = () => running.abort();

  // --- start

  async function start() {
    $("#example").textContent = `curl ${location.origin}/emojize -H 'Content-Type: application/json' \\\n`
      + `  -d '{"inputs": ["so good", "not again"], "top_k": 2}'`;
    try {
      info = await (await ask("info")).json();
    } catch (error) {
      complain(error.message);
      return;
    }
    $("#balance").hidden = info.balance === null;
    $("#balance-value").value = info.balance ?? 0;
    $("#balance output").value = (info.balance ?? 0).toFixed(2);
    $("#top-k").max = info.classes.length;
    $("#top-k").value = Math.min(3, info.classes.length);
    $("#file-help").textContent = "A .csv, .tsv, .jsonl, .json or .txt file in UTF-8, also with .gz, .bz2 or .zst, or .parquet, up to "
      + `${info.max_file >> 20} MB and ${info.max_rows.toLocaleString("en")} rows. It comes back with the same rows and `
      + "columns, and emojis in new columns.";
    if (box("first").value.trim() || box("second").value.trim()) update();
  }
  start();
})();
