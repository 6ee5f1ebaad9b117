//! Finding the one that is in the way of its neighbours.

use std::ops::Range;

/// A part in two, the first of which comes off a stack first. One that cannot be divided stays whole.
pub(crate) fn halves(part: Range<usize>) -> impl Iterator<Item = Range<usize>> {
    let middle = part.start + part.len() / 2;
    [middle..part.end, part.start..middle].into_iter().filter(|half| !half.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_item_comes_up_alone_and_in_order() {
        let mut parts = vec![0..5];
        let mut alone = Vec::new();
        while let Some(part) = parts.pop() {
            match part.len() {
                1 => alone.push(part.start),
                _ => parts.extend(halves(part)),
            }
        }
        assert_eq!(alone, [0, 1, 2, 3, 4]);
    }
}
