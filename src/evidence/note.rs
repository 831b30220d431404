//! Checkpoints as others keep them: the signed notes of C2SP tlog-checkpoint.

use std::str::FromStr;

use base64::{Engine, engine::general_purpose::STANDARD};

use super::{SigningKey, Tree};
use crate::store::Hash;

/// Begins every line with a signature.
const DASH: &str = "\u{2014} ";

/// The name of the log of a store, which is also that of the key that signs it.
pub fn origin(store_id: &str) -> String {
    format!("oncall-grants/{store_id}")
}

/// A checkpoint that somebody kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// The name of the log.
    pub origin: String,
    /// How many entries it had.
    pub size: i64,
    /// The root of the tree over them.
    pub root: Hash,
    /// The text that is signed.
    text: String,
    signatures: Vec<NoteSignature>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct NoteSignature {
    name: String,
    id: [u8; 4],
    signature: Vec<u8>,
}

/// What a key says of the signatures of a checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signature {
    /// The key has signed it.
    Good,
    /// A signature names the key, but the key has not made it.
    Forged,
    /// No signature names the key.
    Missing,
}

/// The text is no checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "is no checkpoint: three lines (name of the log, number of entries, hash), an empty line, and signatures"
)]
pub struct InvalidNote;

/// The note of this log, signed if there is a key.
pub(super) fn write(store_id: &str, tree: &Tree, key: Option<&SigningKey>) -> String {
    let origin = origin(store_id);
    let text = format!("{origin}\n{}\n{}\n", tree.size(), STANDARD.encode(tree.root()));
    let signature = key.map(|key| {
        let signature = [key.id(&origin).as_slice(), &key.sign(&text)].concat();
        format!("{DASH}{origin} {}\n", STANDARD.encode(signature))
    });
    format!("{text}\n{}", signature.unwrap_or_default())
}

impl FromStr for Checkpoint {
    type Err = InvalidNote;

    fn from_str(note: &str) -> Result<Self, InvalidNote> {
        // One that was copied from elsewhere may lack its last line, which is empty.
        let (text, signatures) = note.split_once("\n\n").unwrap_or((note.trim_end_matches('\n'), ""));
        let mut lines = text.split('\n');
        let mut line = || lines.next().filter(|line| !line.is_empty()).ok_or(InvalidNote);
        let (origin, size, root) = (line()?, line()?, line()?);
        let is_number = size == "0" || !size.starts_with('0') && size.bytes().all(|c| c.is_ascii_digit());
        let size = size.parse().ok().filter(|_| is_number).ok_or(InvalidNote)?;
        let root = STANDARD.decode(root).ok().and_then(|root| root.try_into().ok()).ok_or(InvalidNote)?;
        let signatures: Option<Vec<NoteSignature>> = signatures.lines().map(NoteSignature::parse).collect();
        Ok(Self {
            origin: origin.to_owned(),
            size,
            root,
            text: format!("{text}\n"),
            signatures: signatures.ok_or(InvalidNote)?,
        })
    }
}

impl NoteSignature {
    fn parse(line: &str) -> Option<Self> {
        let (name, encoded) = line.strip_prefix(DASH)?.split_once(' ')?;
        let decoded = STANDARD.decode(encoded).ok()?;
        let (id, signature) = decoded.split_first_chunk()?;
        Some(Self { name: name.to_owned(), id: *id, signature: signature.to_vec() })
    }
}

impl Checkpoint {
    /// Whether this key has signed it.
    pub fn signature_of(&self, key: &SigningKey) -> Signature {
        let id = key.id(&self.origin);
        let mut named =
            self.signatures.iter().filter(|line| line.name == self.origin && line.id == id).peekable();
        if named.peek().is_none() {
            return Signature::Missing;
        }
        let is_good = named.all(|line| key.has_signed(&self.text, &line.signature));
        if is_good { Signature::Good } else { Signature::Forged }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> SigningKey {
        SigningKey::from_pem(SigningKey::generate().unwrap().as_bytes()).unwrap()
    }

    #[test]
    fn a_note_is_read_as_it_was_written_and_its_signature_is_checked() {
        let (mine, other) = (key(), key());
        let mut tree = Tree::default();
        tree.push([7; 32]);
        let note = write("17", &tree, Some(&mine));
        let read: Checkpoint = note.parse().unwrap();
        assert_eq!((read.origin.as_str(), read.size, read.root), ("oncall-grants/17", 1, [7; 32]));
        assert_eq!(read.signature_of(&mine), Signature::Good);
        assert_eq!(read.signature_of(&other), Signature::Missing);
        let changed: Checkpoint = note.replacen("\n1\n", "\n2\n", 1).parse().unwrap();
        assert_eq!(changed.signature_of(&mine), Signature::Forged);
        let unsigned = write("17", &tree, None);
        assert!(unsigned.ends_with("=\n\n") && note.starts_with(&unsigned));
        for text in [unsigned.as_str(), unsigned.trim_end()] {
            assert_eq!(text.parse::<Checkpoint>().unwrap().signature_of(&mine), Signature::Missing);
        }
        for text in
            ["", "a\n1\n", "a\nx\nAAAA\n\n", "a\n01\nAAAA\n\n", &note.replace(DASH, "- "), "a\n1\nAAAA\n\n"]
        {
            assert_eq!(text.parse::<Checkpoint>(), Err(InvalidNote), "{text}");
        }
    }
}
