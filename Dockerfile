# torchMoji's server on port 7860: docker build -t torchmoji . && docker run --rm -p 7860:7860 -e TORCHMOJI_KEY=... torchmoji
FROM python:3.11-slim
WORKDIR /app
COPY . .
RUN pip install --no-cache-dir -c constraints.txt torch --index-url https://download.pytorch.org/whl/cpu \
    && pip install --no-cache-dir -c constraints.txt ".[server,onnx,parquet]" \
    && useradd --create-home torchmoji
USER torchmoji
EXPOSE 7860
ENTRYPOINT ["torchmoji", "serve", "--host", "0.0.0.0"]
