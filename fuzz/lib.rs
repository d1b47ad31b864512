//! What the fuzz targets share. An input is taken as it is, so that recorded bodies are good seeds;
//! where it is cut is decided by its own bytes.

/// Longest input that is looked at, in bytes: what is longer only makes runs slow.
pub const MAX_INPUT: usize = 8 * 1024;

/// Cuts `data` into chunks of 0 to 15 bytes, or now and then some more.
pub fn chunks(data: &[u8]) -> Vec<&[u8]> {
    let mut state = data
        .iter()
        .fold(data.len() as u32, |sum, byte| sum.wrapping_mul(31).wrapping_add(u32::from(*byte)));
    let mut rest = data;
    let mut chunks = Vec::new();
    while !rest.is_empty() {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let bits = state >> 24;
        let size = if bits >= 240 { bits as usize * 4 } else { bits as usize % 16 };
        let (chunk, after) = rest.split_at(size.min(rest.len()));
        chunks.push(chunk);
        rest = after;
    }
    chunks
}

/// The value as a JSON tree, where serde_json can make one.
pub fn tree(text: &[u8]) -> Option<serde_json::Value> {
    serde_json::from_slice(text).ok()
}
