//! One HTTP/1.1 exchange as it happens: the request is sent piece by piece, the answer read piece by piece, both at once.

use anyhow::{Context, Result, bail, ensure};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
};

use crate::PATIENCE;

/// The sending half. Dropping it leaves the connection open as long as the answer is read.
pub struct Asking(Option<OwnedWriteHalf>);

/// The receiving half.
pub struct Answering {
    reader: BufReader<OwnedReadHalf>,
    pub status: u16,
    /// Header lines, names in lower case.
    pub headers: Vec<(String, String)>,
    pub trailers: Vec<(String, String)>,
}

/// Sends the head of a request to `url` (scheme and authority), with these headers beside `host`.
pub async fn ask(url: &str, method: &str, path: &str, headers: &[(&str, &str)]) -> Result<(Asking, Unanswered)> {
    let authority = url.trim_start_matches("http://");
    let mut head = format!("{method} {path} HTTP/1.1\r\nhost: {authority}\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    let stream = TcpStream::connect(authority).await?;
    let (reader, mut writer) = stream.into_split();
    writer.write_all(format!("{head}\r\n").as_bytes()).await?;
    Ok((Asking(Some(writer)), Unanswered(BufReader::new(reader))))
}

impl Asking {
    /// One chunk of a body whose request says `transfer-encoding: chunked`.
    pub async fn chunk(&mut self, bytes: &[u8]) -> Result<()> {
        self.write(format!("{:x}\r\n", bytes.len()).as_bytes()).await?;
        self.write(bytes).await?;
        self.write(b"\r\n").await
    }

    /// Bytes of a body whose length was said.
    pub async fn raw(&mut self, bytes: &[u8]) -> Result<()> {
        self.write(bytes).await
    }

    /// The end of a chunked body.
    pub async fn end(&mut self, trailers: &[(&str, &str)]) -> Result<()> {
        let lines: String = trailers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        self.write(format!("0\r\n{lines}\r\n").as_bytes()).await
    }

    /// Ends the connection in the midst of the request.
    pub async fn cut(mut self) -> Result<()> {
        Ok(self.0.take().context("the connection")?.shutdown().await?)
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<()> {
        Ok(self.0.as_mut().context("the connection")?.write_all(bytes).await?)
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        if let Some(writer) = self.0.take() {
            writer.forget();
        }
    }
}

/// A request whose answer has not begun.
pub struct Unanswered(BufReader<OwnedReadHalf>);

impl Unanswered {
    pub async fn head(self) -> Result<Answering> {
        let mut answer = Answering { reader: self.0, status: 0, headers: Vec::new(), trailers: Vec::new() };
        let status = answer.line().await.context("waiting for the head of an answer")?;
        answer.status = status.split(' ').nth(1).context("no status")?.parse()?;
        answer.headers = answer.lines().await?;
        Ok(answer)
    }
}

impl Answering {
    /// The values of a header.
    pub fn header(&self, name: &str) -> Vec<&str> {
        self.headers.iter().filter(|(key, _)| key == name).map(|(_, value)| value.as_str()).collect()
    }

    /// The next chunk; none at the end of the answer, an error when the host cut it off.
    pub async fn chunk(&mut self) -> Result<Option<Vec<u8>>> {
        ensure!(self.header("transfer-encoding") == ["chunked"], "no chunks: {:?}", self.headers);
        let size = self.line().await?;
        let size = usize::from_str_radix(&size, 16).with_context(|| format!("{size:?} is no size"))?;
        if size == 0 {
            self.trailers = self.lines().await?;
            return Ok(None);
        }
        let mut bytes = vec![0; size];
        within(self.reader.read_exact(&mut bytes)).await?;
        ensure!(self.line().await?.is_empty(), "a chunk ends with a line break");
        Ok(Some(bytes))
    }

    /// So many bytes of an answer whose length was said.
    pub async fn exactly(&mut self, count: usize) -> Result<Vec<u8>> {
        let mut bytes = vec![0; count];
        within(self.reader.read_exact(&mut bytes)).await?;
        Ok(bytes)
    }

    /// The rest of a chunked answer, or of one whose length was said.
    pub async fn rest(&mut self) -> Result<String> {
        let mut body = Vec::new();
        if let [length] = self.header("content-length")[..] {
            body.resize(length.parse()?, 0);
            within(self.reader.read_exact(&mut body)).await?;
        } else if !self.header("transfer-encoding").is_empty() {
            while let Some(bytes) = self.chunk().await? {
                body.extend(bytes);
            }
        }
        Ok(String::from_utf8_lossy(&body).into_owned())
    }

    async fn lines(&mut self) -> Result<Vec<(String, String)>> {
        let mut lines = Vec::new();
        loop {
            let line = self.line().await?;
            let Some((name, value)) = line.split_once(':') else { return Ok(lines) };
            lines.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
    }

    async fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        if within(self.reader.read_line(&mut line)).await? == 0 {
            bail!("the host closed the connection");
        }
        Ok(line.trim_end().to_owned())
    }
}

async fn within<T>(reading: impl Future<Output = std::io::Result<T>>) -> Result<T> {
    Ok(tokio::time::timeout(PATIENCE, reading).await.context("nothing came")??)
}
