//! Checks SentencePiece's compiled normalization rules (`precompiled_charsmap`).
//!
//! The `spm_precompiled` crate follows them without bounds checks. The format is the trie's length in bytes (`u32`,
//! little-endian), the trie as a double array of `u32`, and the replacements, each ended by a zero byte.

/// Real ones have 240 to 400 KB.
const MAX_BYTES: usize = 8 << 20;

/// The most that normalization makes of one byte, rounded up; or what is wrong with the rules.
pub(super) fn growth(base64: &str) -> Result<usize, String> {
    if base64.len() / 4 * 3 > MAX_BYTES {
        return Err(format!("has more than {MAX_BYTES} bytes"));
    }
    let bytes = decode_base64(base64).ok_or("is not base64")?;
    let (length, rest) = bytes
        .split_first_chunk::<4>()
        .ok_or("ends before its trie")?;
    let length = u32::from_le_bytes(*length) as usize;
    if length > rest.len() || !length.is_multiple_of(4) {
        return Err("ends inside its trie".to_owned());
    }
    let (trie, replacements) = rest.split_at(length);
    let replacements =
        std::str::from_utf8(replacements).map_err(|_| "has replacements that are not UTF-8")?;
    let units = trie.chunks_exact(4);
    let units: Vec<usize> = units
        .map(|unit| u32::from_le_bytes(unit.try_into().unwrap_or_default()) as usize)
        .collect();
    Trie(&units).walk(replacements)
}

struct Trie<'a>(&'a [usize]);

impl Trie<'_> {
    /// Visits every state that a text can reach, as `common_prefix_search` does.
    fn walk(&self, replacements: &str) -> Result<usize, String> {
        const OUTSIDE: &str = "has a trie that points outside itself";
        let root = *self.0.first().ok_or("has an empty trie")?;
        let mut visited = vec![false; self.0.len()];
        let mut states = vec![(offset(root), 0)];
        let mut growth = 1;
        while let Some((base, depth)) = states.pop() {
            // Every next byte is looked up before its label is compared.
            if base | 0xff >= self.0.len() {
                return Err(OUTSIDE.to_owned());
            }
            if std::mem::replace(&mut visited[base], true) {
                continue;
            }
            for byte in 1..=0xff {
                let position = base ^ byte;
                let unit = self.0[position];
                if unit & (1 << 31 | 0xff) != byte {
                    continue;
                }
                let next = position ^ offset(unit);
                if unit >> 8 & 1 == 1 {
                    let leaf = self.0.get(next).ok_or(OUTSIDE)?;
                    let start = leaf & ((1 << 31) - 1);
                    let text = replacements
                        .get(start..)
                        .ok_or("has a replacement outside its text")?;
                    let length = text.find('\0').unwrap_or(text.len());
                    growth = growth.max(length.div_ceil(depth + 1));
                }
                states.push((next, depth + 1));
            }
        }
        Ok(growth)
    }
}

fn offset(unit: usize) -> usize {
    (unit >> 10) << ((unit & (1 << 9)) >> 6)
}

/// Standard base64 with padding.
fn decode_base64(text: &str) -> Option<Vec<u8>> {
    let text = text.as_bytes();
    if !text.len().is_multiple_of(4) {
        return None;
    }
    let padding = text.iter().rev().take_while(|&&byte| byte == b'=').count();
    if padding > 2 {
        return None;
    }
    let digit = |byte: u8| -> Option<u32> {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        Some(value.into())
    };
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    for quad in text[..text.len() - padding].chunks(4) {
        let mut bits = 0;
        for &byte in quad {
            bits = bits << 6 | digit(byte)?;
        }
        bits <<= 6 * (4 - quad.len());
        bytes.extend_from_slice(&bits.to_be_bytes()[1..quad.len()]);
    }
    Some(bytes)
}

/// Standard base64 with padding.
pub(super) fn encode_base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for part in bytes.chunks(3) {
        let mut word = [0; 4];
        word[1..=part.len()].copy_from_slice(part);
        let word = u32::from_be_bytes(word);
        for index in 0..4 {
            let digit = DIGITS[(word >> (18 - 6 * index)) as usize & 63];
            text.push(if index <= part.len() {
                digit.into()
            } else {
                '='
            });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::encode_base64 as encode;
    use super::*;

    /// A trie that maps "a" to the replacement at `start`, and its replacements.
    fn charsmap(start: u32, replacements: &str) -> Vec<u8> {
        // The root's children lie at 0 ^ byte, those of "a" from 256 on: its leaf is 256.
        let mut units = vec![0u32; 512];
        units[usize::from(b'a')] = u32::from(b'a') | 1 << 8 | (256 ^ u32::from(b'a')) << 10;
        units[256] = 1 << 31 | start;
        let mut bytes = (4 * units.len() as u32).to_le_bytes().to_vec();
        bytes.extend(units.iter().flat_map(|unit| unit.to_le_bytes()));
        bytes.extend(replacements.as_bytes());
        bytes
    }

    #[test]
    fn base64_is_decoded() {
        for bytes in [&b""[..], b"a", b"ab", b"abc", &[0, 255, 254, 7]] {
            assert_eq!(decode_base64(&encode(bytes)).as_deref(), Some(bytes));
        }
        for wrong in ["a", "a===", "ab=c", "a b=", "ab~="] {
            assert_eq!(decode_base64(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn rules_that_lead_outside_are_refused() {
        let good = charsmap(2, "x\0yz\0");
        assert_eq!(growth(&encode(&good)), Ok(2));
        let long = format!("x\0{}\0", "y".repeat(5000));
        assert_eq!(growth(&encode(&charsmap(2, &long))), Ok(5000));
        let error = |bytes: &[u8]| growth(&encode(bytes)).unwrap_err();
        assert!(error(&charsmap(9, "x\0yz\0")).contains("outside its text"));
        assert!(error(&charsmap(1, "é\0")).contains("outside its text"));
        assert!(error(b"").contains("ends before"));
        assert!(error(&[0; 4]).contains("empty"));
        assert!(error(&u32::MAX.to_le_bytes()).contains("ends inside"));
        assert!(error(&good[..900]).contains("ends inside"));
        let mut wild = good.clone();
        wild[4..8].copy_from_slice(&u32::MAX.to_le_bytes());
        assert!(error(&wild).contains("points outside"));
        assert!(growth("?").unwrap_err().contains("base64"));
        assert!(
            growth(&"A".repeat(16 << 20))
                .unwrap_err()
                .contains("more than")
        );
    }

    /// No input makes the walk panic or run for long.
    #[test]
    fn damaged_rules_never_panic() {
        let good = charsmap(2, "x\0yz\0");
        for index in 0..good.len() {
            for value in [0, 1, 0x7f, 0xff] {
                let mut bytes = good.clone();
                bytes[index] = value;
                let _ = growth(&encode(&bytes));
            }
            let _ = growth(&encode(&good[..index]));
        }
    }
}
