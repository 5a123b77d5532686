//! The way to a mail server: a connection, and TLS on it.

use std::{io, net::SocketAddr, sync::Arc};

use rustls::{CertificateError, ClientConfig, pki_types::ServerName};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_rustls::TlsConnector;

use super::{
    server::MailServer,
    trouble::{Step, Trouble, broken},
};
use crate::http;

/// A connection, encrypted or not.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// Connects, and tells our own end of the connection.
///
/// # Errors
/// No connection came about.
pub async fn connect(server: &MailServer) -> Result<(TcpStream, SocketAddr), Trouble> {
    let connect = async {
        let stream = TcpStream::connect((server.host.as_str(), server.port)).await?;
        // A mail's last line must not wait for the answer to its first.
        stream.set_nodelay(true)?;
        let own = stream.local_addr()?;
        Ok((stream, own))
    };
    connect.await.map_err(|error: io::Error| broken(Step::Connect, &error))
}

/// Begins TLS, with a certificate that is right for the server's host.
///
/// # Errors
/// The certificate can't be trusted, or TLS did not come about.
pub async fn encrypted(stream: Box<dyn Stream>, server: &MailServer, tls: &Arc<ClientConfig>) -> Result<Box<dyn Stream>, Trouble> {
    let name = ServerName::try_from(server.host.clone())
        .map_err(|_| Trouble::Unable("its host name is none that a certificate can be issued for"))?;
    match TlsConnector::from(Arc::clone(tls)).connect(name, stream).await {
        Ok(stream) => Ok(Box::new(stream)),
        Err(error) => Err(match error.get_ref().and_then(|inner| inner.downcast_ref()) {
            Some(rustls::Error::InvalidCertificate(why)) => Trouble::Untrusted(distrust(why)),
            Some(rustls::Error::InvalidMessage(_)) => {
                Trouble::Unable("it does not speak TLS on this port: smtps:// is for port 465, smtp:// for 587")
            }
            _ => broken(Step::Tls, &error),
        }),
    }
}

fn distrust(why: &CertificateError) -> String {
    let hint = if *why == CertificateError::UnknownIssuer { " (`tls_ca` names a private one)" } else { "" };
    http::distrust(why) + hint
}
