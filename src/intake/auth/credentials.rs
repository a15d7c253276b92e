//! Whether the Secrets that an EventJob's auth refers to hold what it needs: for its owner, before anybody sends.

use super::secrets::Secrets;
use crate::lookup::Lookup;
use crate::resource::ObjectId;
use crate::resource::event_job::Auth;

/// Why senders cannot be told from strangers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CredentialsTrouble {
    /// One word from a closed list: `SecretMissing`, `SecretForbidden`, `SecretInvalid`.
    pub reason: &'static str,
    /// Which Secret and which key; no value.
    pub text: String,
}

/// The first Secret or key of `auth` that is missing, empty or may not be read.
///
/// # Errors
///
/// It cannot be told now, and why.
pub async fn trouble(
    lookup: &dyn Lookup,
    namespace: &str,
    auth: &[Auth],
) -> Result<Option<CredentialsTrouble>, crate::lookup::Error> {
    let secrets = Secrets { lookup, namespace };
    for (name, key) in auth.iter().flat_map(Auth::secret_keys) {
        let id = ObjectId::new(namespace, name);
        let (reason, text) = match lookup.secret(&id).await {
            Ok(Some(data)) => match secrets.value(name, &data, key) {
                Ok(_) => continue,
                Err(why) if data.contains_key(key) => ("SecretInvalid", why),
                Err(why) => ("SecretMissing", why),
            },
            Ok(None) => ("SecretMissing", format!("Secret {id} is not there")),
            Err(error) if error.is_transient() => return Err(error),
            Err(error @ crate::lookup::Error::Forbidden { .. }) => {
                ("SecretForbidden", error.to_string())
            }
            Err(error) => ("SecretInvalid", error.to_string()),
        };
        return Ok(Some(CredentialsTrouble { reason, text }));
    }
    Ok(None)
}
