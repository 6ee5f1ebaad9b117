//! Parameters of other libraries that have no effect, and those that request unsupported features.

use queue_core::Result;

use super::refuse;

/// Values that request the behaviour of this library; every other value is refused with the hint.
const IGNORED: &[(&str, &[&str], &str)] = &[
    ("client_encoding", &["auto", "utf8", "utf-8", "unicode"], "connections use UTF-8"),
    ("gssdelegation", &["0"], "Kerberos is not supported"),
    (
        "gssencmode",
        &["disable", "prefer"],
        "encryption by GSSAPI is not supported; use `sslmode=verify-full`",
    ),
    ("max_protocol_version", &["3.0", "3.2", "latest"], "connections use protocol 3.0"),
    ("min_protocol_version", &["3.0"], "connections use protocol 3.0"),
    ("replication", &["false", "off", "no", "0"], "a queue needs ordinary connections"),
    ("ssl_max_protocol_version", &["tlsv1.3"], "connections use TLS 1.2 or 1.3"),
    ("ssl_min_protocol_version", &["tlsv1", "tlsv1.1", "tlsv1.2"], "connections use TLS 1.2 or 1.3"),
    ("sslcertmode", &["disable", "allow"], "client certificates are not supported"),
    ("sslcompression", &["0", "1"], "TLS is never compressed"),
    ("sslnegotiation", &["postgres"], "connections ask the server for TLS first; use `postgres`"),
    ("sslsni", &["1"], "the name of the server is always sent with TLS"),
];

/// Parameters that are refused with any value.
const REFUSED: &[(&str, &str)] = &[
    ("gsslib", "Kerberos is not supported"),
    ("krbsrvname", "Kerberos is not supported"),
    ("oauth_client_id", "OAuth is not supported"),
    ("oauth_client_secret", "OAuth is not supported"),
    ("oauth_issuer", "OAuth is not supported"),
    ("oauth_scope", "OAuth is not supported"),
    (
        "require_auth",
        "the server chooses the authentication method; `channel_binding=require` requires SCRAM",
    ),
    ("requirepeer", "the owner of the server's socket is not checked"),
    ("scram_client_key", "keys of SCRAM are not supported; use a password"),
    ("scram_server_key", "keys of SCRAM are not supported; use a password"),
    ("service", "service files are not read; write host, database and user in the URL"),
    ("servicefile", "service files are not read; write host, database and user in the URL"),
    ("sslcert", "client certificates are not supported; use a password"),
    ("sslcrl", "lists of revoked certificates are not supported"),
    ("sslcrldir", "lists of revoked certificates are not supported"),
    ("sslkey", "client certificates are not supported; use a password"),
    ("sslkeylogfile", "keys of TLS are not logged"),
    ("sslpassword", "client certificates are not supported; use a password"),
];

/// Accepts a parameter without an effect. An empty value counts as absent, as in libpq.
///
/// # Errors
/// [`Invalid`](queue_core::ErrorKind::Invalid) for a value that has an effect, and for an unknown
/// name.
pub(super) fn ignore(name: &str, value: &str) -> Result<()> {
    if let Some((_, values, hint)) = IGNORED.iter().find(|(ignored, ..)| *ignored == name) {
        if value.is_empty() || values.contains(&value.to_ascii_lowercase().as_str()) {
            return Ok(());
        }
        return Err(refuse(&format!("`{name}={}` is not supported: {hint}", value.escape_debug())));
    }
    match REFUSED.iter().find(|(refused, _)| *refused == name) {
        Some(_) if value.is_empty() => Ok(()),
        Some((_, hint)) => Err(refuse(&format!("`{name}` is not supported: {hint}"))),
        None => {
            let name = name.escape_debug();
            Err(refuse(&format!("the parameter `{name}` is unknown; remove it, or correct its name")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_is_documented() {
        let page = include_str!("../../docs/database-urls.md");
        let names = IGNORED.iter().map(|(name, ..)| name).chain(REFUSED.iter().map(|(name, _)| name));
        for name in names {
            assert!(page.contains(name), "{name}");
        }
    }

    #[test]
    fn values_with_an_effect_are_refused() {
        for (name, values, _) in IGNORED {
            for value in *values {
                ignore(name, value).unwrap();
            }
            ignore(name, "").unwrap();
            let error = ignore(name, "other").unwrap_err().to_string();
            assert!(error.contains(&format!("`{name}=other` is not supported: ")), "{error}");
        }
        ignore("client_encoding", "UTF8").unwrap();
    }

    #[test]
    fn refused_parameter_is_named_without_its_value() {
        for (name, hint) in REFUSED {
            ignore(name, "").unwrap();
            let error = ignore(name, "hunter2").unwrap_err().to_string();
            assert!(error.contains(hint) && !error.contains("hunter2"), "{error}");
        }
        let error = ignore("pasword", "hunter2").unwrap_err().to_string();
        assert!(error.contains("`pasword` is unknown") && !error.contains("hunter2"), "{error}");
    }
}
