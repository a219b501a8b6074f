//! TLS for the probe: libpq's `sslmode` disable, prefer and require, over rustls with ring.
//!
//! No certificate is verified, as with libpq in these modes; but whoever shows one must hold its key, so that
//! SCRAM's channel binding ties a login to that server.
//!
//! One difference from libpq: with `prefer` it tries again in plain text when the TLS handshake or the login over
//! TLS fails. The probe does not: a server that offers TLS and cannot do it, or whose pg_hba.conf wants plain
//! text, is reported as such, and `sslmode = "disable"` says so in the config. No password goes out in plain text
//! because something went wrong, and no login fails twice in PostgreSQL's log.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{self, CryptoProvider};
use rustls::pki_types::{CertificateDer, ServerName, SubjectPublicKeyInfoDer, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, SignatureScheme};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_postgres::tls::{MakeTlsConnect, TlsConnect};
use tokio_postgres_rustls::MakeRustlsConnect;
use x509_cert::Certificate;
use x509_cert::der::{Decode, Encode};

use super::failure;
use super::socket::Socket;
use crate::config::SslMode;
use crate::engine::evidence::{ProbeError, Stage};

/// A socket with TLS on it.
pub(super) type TlsSocket = <MakeRustlsConnect as MakeTlsConnect<Socket>>::Stream;

/// What the messages go over.
pub(super) enum Transport {
    /// Plain TCP.
    Plain(Socket),
    /// TLS.
    Tls(Box<TlsSocket>),
}

/// `SSLRequest` (PostgreSQL manual, "Message Formats"): the length 8, then 80877103.
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];

/// Makes TLS connections, all alike.
#[derive(Clone)]
pub(super) struct Tls(MakeRustlsConnect);

impl Tls {
    /// With ring, passed explicitly: nothing depends on a default of the process.
    pub(super) fn new() -> Result<Self, rustls::Error> {
        let provider = Arc::new(crypto::ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(AnyCertificate(provider)))
            .with_no_client_auth();
        // PostgreSQL does not resume sessions.
        config.resumption = Resumption::disabled();
        Ok(Self(MakeRustlsConnect::new(config)))
    }

    /// Asks for TLS as `mode` says, and shakes hands where the server has it.
    pub(super) async fn negotiate(
        mut self,
        mut socket: Socket,
        mode: SslMode,
        address: SocketAddr,
    ) -> Result<Transport, ProbeError> {
        if mode == SslMode::Disable {
            return Ok(Transport::Plain(socket));
        }
        let asked = async {
            socket.write_all(&SSL_REQUEST).await?;
            // One byte and no more: what follows belongs to TLS.
            socket.read_u8().await
        };
        let answer = asked.await.map_err(|error| failure::stream(&error, Stage::Login))?;
        match (answer, mode) {
            (b'S', _) => (),
            (b'N', SslMode::Disable | SslMode::Prefer) => return Ok(Transport::Plain(socket)),
            (b'N', SslMode::Require) => return Err(ProbeError::Prober(NO_TLS.into())),
            // A postmaster that cannot start a process says so in the words of the protocol's version 2.
            (b'E', _) => return Err(ProbeError::Closed(Stage::Login)),
            (other, _) => {
                let answer = char::from(other);
                return Err(failure::garbled(format!(
                    "{answer:?} as the answer to a request for TLS"
                )));
            }
        }
        // An address as the name: nothing is verified against it, and none is sent.
        let name = address.ip().to_string();
        let connector = match MakeTlsConnect::<Socket>::make_tls_connect(&mut self.0, &name) {
            Ok(connector) => connector,
            Err(never) => match never {},
        };
        match connector.connect(socket).await {
            Ok(tls) => Ok(Transport::Tls(Box::new(tls))),
            Err(error) => Err(handshake_failed(&error)),
        }
    }
}

const NO_TLS: &str = "sslmode is require, but the server offers no TLS: set ssl = on there, or sslmode = \"prefer\" here";

/// What a failed handshake says: about the network, or about two sides that do not understand each other.
fn handshake_failed(error: &io::Error) -> ProbeError {
    let about_tls = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match about_tls {
        None if error.kind() == io::ErrorKind::UnexpectedEof => ProbeError::Closed(Stage::Login),
        None => failure::stream(error, Stage::Login),
        Some(what) => ProbeError::Prober(
            format!(
                "TLS handshake: {what}: give the server a certificate of version 3 and TLS 1.3, or set \
                 sslmode = \"disable\""
            )
            .into(),
        ),
    }
}

/// Accepts any certificate, of any version, whose key the server holds.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    /// By way of the parsed certificate, which must be of version 3.
    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        crypto::verify_tls12_signature(message, certificate, signed, algorithms)
    }

    /// By the bare key, so that certificates of version 1 (the PostgreSQL manual's recipe makes one) work too.
    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let key = public_key(certificate).map_err(|_| CertificateError::BadEncoding)?;
        let key = SubjectPublicKeyInfoDer::from(key.as_slice());
        let algorithms = &self.0.signature_verification_algorithms;
        crypto::verify_tls13_signature_with_raw_key(message, &key, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// The certificate's SubjectPublicKeyInfo, in DER.
fn public_key(certificate: &CertificateDer<'_>) -> Result<Vec<u8>, x509_cert::der::Error> {
    Certificate::from_der(certificate)?.tbs_certificate.subject_public_key_info.to_der()
}
