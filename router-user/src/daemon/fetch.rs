//! `/tool fetch` with HTTP and HTTPS, on the thread that asks.

use std::sync::Arc;
use std::time::Duration;

use config::script::{Fetch, Fetched};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::header::{AUTHORIZATION, LOCATION, USER_AGENT};
use hyper::{Request, Response, Uri};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{Client, Error};
use hyper_util::rt::TokioExecutor;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use tokio::time::timeout;

/// What is taken of an answer.
const MAX_BYTES: usize = 64 << 20;
/// A whole transfer.
const LONGEST: Duration = Duration::from_secs(600);

type Https = Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

/// Gets what is asked for; an error is RouterOS's text.
pub fn run(fetch: &Fetch) -> Result<Fetched, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| format!("failure: {error}"))?;
    runtime.block_on(async {
        timeout(LONGEST, follow(fetch)).await.unwrap_or_else(|_| Err("failure: timeout".into()))
    })
}

/// Goes where the server sends, as often as that is allowed.
async fn follow(fetch: &Fetch) -> Result<Fetched, String> {
    let client = client(fetch.check_certificate)?;
    let mut uri: Uri = fetch.url.parse().map_err(|_| "failure: invalid URL".to_owned())?;
    let origin = uri.authority().cloned();
    for left in (0..=fetch.max_redirects).rev() {
        // Who is sent elsewhere does not take the password along.
        let secret = uri.authority() == origin.as_ref();
        let response = ask(&client, fetch, &uri, secret).await?;
        let next = response.headers().get(LOCATION).and_then(|to| to.to_str().ok()).map(str::to_owned);
        match next {
            Some(to) if response.status().is_redirection() && left > 0 => uri = joined(&uri, &to)?,
            _ => return taken(fetch, response).await,
        }
    }
    Err("failure: too many redirects".into())
}

async fn ask(
    client: &Https,
    fetch: &Fetch,
    uri: &Uri,
    secret: bool,
) -> Result<Response<hyper::body::Incoming>, String> {
    let mut request = Request::builder().method(fetch.method.as_str()).uri(uri);
    if !fetch.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case(USER_AGENT.as_str())) {
        request = request.header(USER_AGENT, concat!("routerd/", env!("CARGO_PKG_VERSION")));
    }
    for (name, value) in &fetch.headers {
        request = request.header(name, value);
    }
    if let Some((user, password)) = fetch.user.as_ref().filter(|_| secret) {
        request = request.header(AUTHORIZATION, basic(user, password));
    }
    let body = Full::new(Bytes::from(fetch.body.clone()));
    let request = request.body(body).map_err(|error| format!("failure: {error}"))?;
    match timeout(fetch.idle_timeout, client.request(request)).await {
        Ok(answer) => answer.map_err(|error| refused(&error)),
        Err(_) => Err("failure: connection timeout".into()),
    }
}

/// RFC 7617
fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", config::script::base64(format!("{user}:{password}").as_bytes()))
}

/// The innermost reason is the one that helps.
fn refused(error: &Error) -> String {
    let mut reason: &dyn std::error::Error = error;
    while let Some(source) = reason.source() {
        reason = source;
    }
    format!("failure: {reason}")
}

async fn taken(fetch: &Fetch, response: Response<hyper::body::Incoming>) -> Result<Fetched, String> {
    let status = response.status().as_u16();
    let header = |(name, value): (&hyper::header::HeaderName, &hyper::header::HeaderValue)| {
        (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
    };
    let headers = response.headers().iter().map(header).collect();
    let mut body = response.into_body();
    let mut content = Vec::new();
    loop {
        let frame = timeout(fetch.idle_timeout, body.frame()).await;
        let Some(frame) = frame.map_err(|_| "failure: connection timeout".to_owned())? else { break };
        let frame = frame.map_err(|error| format!("failure: {error}"))?;
        if let Some(data) = frame.data_ref() {
            content.extend_from_slice(data);
        }
        if content.len() > MAX_BYTES {
            return Err("failure: the answer is too long".into());
        }
    }
    Ok(Fetched { status, headers, body: content })
}

/// A place that is told relative to another (RFC 3986, section 5, without dots).
fn joined(from: &Uri, to: &str) -> Result<Uri, String> {
    let scheme = from.scheme_str().unwrap_or("http");
    let host = from.authority().map_or("", |authority| authority.as_str());
    let text = match to {
        _ if to.contains("://") => to.to_owned(),
        _ if to.starts_with("//") => format!("{scheme}:{to}"),
        _ if to.starts_with('/') => format!("{scheme}://{host}{to}"),
        _ => {
            let folder = from.path().rsplit_once('/').map_or("", |(folder, _)| folder);
            format!("{scheme}://{host}{folder}/{to}")
        }
    };
    text.parse().map_err(|_| "failure: the server sends to a place that is none".to_owned())
}

fn client(check: bool) -> Result<Https, String> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("failure: {error}"))?;
    let connector = if check {
        HttpsConnectorBuilder::new()
            .with_provider_and_native_roots(ring::default_provider())
            .map_err(|error| format!("failure: {error}"))?
    } else {
        let verifier = Arc::new(Anyone(provider));
        let config = builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth();
        HttpsConnectorBuilder::new().with_tls_config(config)
    };
    let connector = connector.https_or_http().enable_http1().build();
    Ok(Client::builder(TokioExecutor::new()).build(connector))
}

/// `check-certificate=no`, RouterOS's default: whoever answers is taken at his word.
#[derive(Debug)]
struct Anyone(Arc<CryptoProvider>);

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;

    use super::*;

    /// Answers one request per text; gives back what was asked.
    fn serve(answers: &'static [&'static str]) -> (u16, std::thread::JoinHandle<Vec<String>>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let thread = std::thread::spawn(move || {
            let one = |answer: &&str| {
                let (mut stream, _) = listener.accept().unwrap();
                let mut buffer = [0; 4096];
                let mut asked = String::new();
                while !asked.contains("\r\n\r\n") {
                    let length = stream.read(&mut buffer).unwrap();
                    asked.push_str(&String::from_utf8_lossy(&buffer[..length]));
                }
                stream.write_all(answer.as_bytes()).unwrap();
                asked
            };
            answers.iter().map(one).collect()
        });
        (port, thread)
    }

    fn fetch(url: String) -> Fetch {
        Fetch {
            url,
            method: "GET".into(),
            headers: vec![("X-Test".into(), "1".into())],
            body: Vec::new(),
            user: Some(("admin".into(), "secret".into())),
            check_certificate: false,
            idle_timeout: Duration::from_secs(5),
            max_redirects: 1,
        }
    }

    #[test]
    fn an_answer_is_taken_also_from_where_the_server_sends() {
        let (port, asked) = serve(&[
            "HTTP/1.1 302 Found\r\nLocation: /there\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
            "HTTP/1.1 200 OK\r\nServer: test\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello",
        ]);
        let fetched = run(&fetch(format!("http://127.0.0.1:{port}/here"))).unwrap();
        assert_eq!((fetched.status, fetched.body.as_slice()), (200, &b"hello"[..]));
        assert!(fetched.headers.contains(&("server".into(), "test".into())));
        let asked = asked.join().unwrap();
        assert!(asked[0].starts_with("GET /here HTTP/1.1") && asked[1].starts_with("GET /there HTTP/1.1"));
        assert!(asked[0].to_lowercase().contains("authorization: basic ywrtaw46c2vjcmv0"), "{}", asked[0]);
        assert!(asked[0].to_lowercase().contains("x-test: 1"));
    }

    #[test]
    fn what_can_not_be_reached_is_told() {
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let error = run(&fetch(format!("http://127.0.0.1:{free}/"))).unwrap_err();
        assert!(error.starts_with("failure: ") && error.contains("refused"), "{error}");
        assert!(run(&fetch("http://".into())).is_err());
    }

    #[test]
    fn places_relative_to_others() {
        let from: Uri = "https://192.0.2.1:8443/a/b?x".parse().unwrap();
        for (to, expected) in [
            ("/c", "https://192.0.2.1:8443/c"),
            ("c", "https://192.0.2.1:8443/a/c"),
            ("//198.51.100.1/d", "https://198.51.100.1/d"),
            ("http://203.0.113.1/", "http://203.0.113.1/"),
        ] {
            assert_eq!(joined(&from, to).unwrap().to_string(), expected);
        }
    }
}
