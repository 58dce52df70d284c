//! Changes of a setting of the environment that other nodes change too: read, change, put back, and again if another was
//! faster.

use std::sync::Arc;

use bytes::Bytes;
use impresario_persistence::{Store, StoreError};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// How often a change is tried: with each conflict one of those who change it is done.
pub const TRIES: usize = 64;

/// Why a setting cannot be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum SettingError {
    /// The store.
    #[error("{0}")]
    Store(#[from] StoreError),
    /// It is not what this version writes.
    #[error("the setting '{key}' of the environment is damaged: {source}")]
    Damaged {
        /// Its key.
        key: String,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// Its new value has no form.
    #[error("the setting '{key}' of the environment cannot be written: {source}")]
    Unwritable {
        /// Its key.
        key: String,
        /// Why.
        source: serde_json::Error,
    },
    /// Others were faster each time.
    #[error(
        "the setting '{0}' of the environment was changed by other nodes {TRIES} times meanwhile: try again"
    )]
    Contended(String),
}

/// The value of a setting.
///
/// # Errors
/// [`SettingError::Damaged`].
pub fn decode<T: DeserializeOwned>(key: &str, bytes: &[u8]) -> Result<T, SettingError> {
    serde_json::from_slice(bytes).map_err(|source| SettingError::Damaged { key: key.to_owned(), source })
}

/// The bytes of a setting.
///
/// # Errors
/// [`SettingError::Unwritable`].
pub fn encode<T: Serialize>(key: &str, value: &T) -> Result<Bytes, SettingError> {
    let bytes = serde_json::to_vec(value);
    bytes.map(Bytes::from).map_err(|source| SettingError::Unwritable { key: key.to_owned(), source })
}

/// Changes a setting into what `change` makes of its value, and answers that; `None` when it leaves it as it is.
///
/// # Errors
/// Those of `change`, and [`SettingError`].
pub async fn update<T, E>(
    store: &Arc<dyn Store>,
    key: &str,
    mut change: impl FnMut(Option<T>) -> Result<Option<T>, E>,
) -> Result<Option<T>, E>
where
    T: Serialize + DeserializeOwned,
    E: From<SettingError>,
{
    let mut made = None;
    exchange(store, key, |before| {
        let before = before.map(|bytes| decode(key, &bytes)).transpose()?;
        made = change(before)?;
        Ok::<_, E>(made.as_ref().map(|after| encode(key, after)).transpose()?)
    })
    .await?;
    Ok(made)
}

/// The same on its bytes: whether it was changed.
///
/// # Errors
/// Those of `change`, and [`SettingError`].
pub async fn exchange<E: From<SettingError>>(
    store: &Arc<dyn Store>,
    key: &str,
    mut change: impl FnMut(Option<Bytes>) -> Result<Option<Bytes>, E>,
) -> Result<bool, E> {
    for _ in 0..TRIES {
        let before = store.setting(key.to_owned()).await.map_err(SettingError::Store)?;
        let version = before.as_ref().map_or(0, |setting| setting.version);
        let Some(after) = change(before.map(|setting| setting.bytes))? else { return Ok(false) };
        match store.put_setting(key.to_owned(), version, after).await {
            Ok(_) => return Ok(true),
            Err(StoreError::Conflict { .. }) => {}
            Err(error) => return Err(SettingError::Store(error).into()),
        }
    }
    Err(SettingError::Contended(key.to_owned()).into())
}
