//! The name of immutable bytes: their BLAKE3 digest, as `b3sum` prints it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The BLAKE3 digest of some bytes: the only name an object has.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    /// Returns the digest of `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        blake3::hash(bytes).into()
    }

    /// Returns the digest of a JSON value in canonical form: no white space, keys sorted.
    #[must_use]
    pub fn of_json(value: &serde_json::Value) -> Self {
        let mut value = value.clone();
        value.sort_all_objects();
        Self::of(value.to_string().as_bytes())
    }

    /// Returns the 64 lower-case hexadecimal digits.
    #[must_use]
    pub fn to_hex(self) -> String {
        blake3::Hash::from_bytes(self.0).to_hex().to_string()
    }

    /// Returns the first twelve digits, enough for a person to recognise it.
    #[must_use]
    pub fn short(self) -> String {
        self.to_hex()[..12].to_owned()
    }

    /// Returns the raw bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl From<blake3::Hash> for Digest {
    fn from(hash: blake3::Hash) -> Self {
        Self(*hash.as_bytes())
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({})", self.short())
    }
}

/// Text that is not 64 hexadecimal digits.
#[derive(Debug, thiserror::Error)]
#[error("expected a digest of 64 hexadecimal digits, found `{0}`")]
pub struct NotADigest(String);

impl FromStr for Digest {
    type Err = NotADigest;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        blake3::Hash::from_hex(text).map(Self::from).map_err(|_| NotADigest(text.to_owned()))
    }
}

impl Serialize for Digest {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.to_hex())
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// The first digits of a digest, as a person types them.
#[derive(Debug, Clone)]
pub struct Prefix(String);

impl Prefix {
    /// Returns the digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Prefix {
    type Err = NotADigest;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits = (4..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_hexdigit());
        if digits { Ok(Self(text.to_ascii_lowercase())) } else { Err(NotADigest(text.to_owned())) }
    }
}

/// What a [`Prefix`] stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resolved {
    /// No name starts with these digits.
    None,
    /// Exactly one does.
    One(Digest),
    /// Several do; the person has to type more.
    Many(Vec<Digest>),
}

impl FromIterator<Digest> for Resolved {
    fn from_iter<I: IntoIterator<Item = Digest>>(found: I) -> Self {
        let mut found: Vec<Digest> = found.into_iter().collect();
        found.sort_unstable();
        found.dedup();
        match found.as_slice() {
            [] => Self::None,
            [one] => Self::One(*one),
            _ => Self::Many(found),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_the_published_digest_of_nothing() {
        let empty = "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262";
        assert_eq!(Digest::of(b"").to_hex(), empty);
        assert_eq!(empty.parse::<Digest>().unwrap(), Digest::of(b""));
    }

    #[test]
    fn a_prefix_names_none_one_or_many() {
        let (a, b) = (Digest::of(b"a"), Digest::of(b"b"));
        assert_eq!([].into_iter().collect::<Resolved>(), Resolved::None);
        assert_eq!([a, a].into_iter().collect::<Resolved>(), Resolved::One(a));
        assert!(
            matches!([a, b].into_iter().collect::<Resolved>(), Resolved::Many(v) if v.len() == 2)
        );
        assert!("xyz!".parse::<Prefix>().is_err());
        assert!("abc".parse::<Prefix>().is_err(), "three digits are too few to mean anything");
    }
}
