//! Divides a list until the item that fails is alone.

use std::ops::Range;

/// Parts of a list that are still to be done. A failed part is divided into halves.
#[derive(Debug)]
pub(crate) struct Parts(Vec<Range<usize>>);

impl Parts {
    /// One part with all of a list of this length.
    pub(crate) fn of(length: usize) -> Self {
        let whole = 0..length;
        Self(if whole.is_empty() { Vec::new() } else { Vec::from([whole]) })
    }

    /// Parts of a list whose items have these sizes. Each part has at most `max_size` in total; a
    /// larger item is a part alone.
    pub(crate) fn of_sizes(sizes: impl Iterator<Item = usize>, max_size: usize) -> Self {
        let mut parts: Vec<Range<usize>> = Vec::new();
        let mut together = 0_usize;
        for (index, size) in sizes.enumerate() {
            together = together.saturating_add(size);
            match parts.last_mut() {
                Some(part) if together <= max_size => part.end = index + 1,
                _ => {
                    parts.push(index..index + 1);
                    together = size;
                }
            }
        }
        parts.reverse();
        Self(parts)
    }

    /// Takes the next part, in the order of the list.
    pub(crate) fn next(&mut self) -> Option<Range<usize>> {
        self.0.pop()
    }

    /// Replaces a part of at least two items by its halves.
    pub(crate) fn halve(&mut self, part: &Range<usize>) {
        let middle = part.start + part.len() / 2;
        self.0.push(middle..part.end);
        self.0.push(part.start..middle);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halving_reaches_each_item_in_order() {
        let mut parts = Parts::of(5);
        let mut alone = Vec::new();
        while let Some(part) = parts.next() {
            match part.len() {
                1 => alone.push(part.start),
                _ => parts.halve(&part),
            }
        }
        assert_eq!(alone, [0, 1, 2, 3, 4]);
        assert_eq!(Parts::of(0).next(), None);
    }

    #[test]
    fn parts_stay_within_their_size() {
        let mut parts = Parts::of_sizes([3, 4, 4, 20, 1, 1].into_iter(), 8);
        let all: Vec<_> = std::iter::from_fn(|| parts.next()).collect();
        assert_eq!(all, [0..2, 2..3, 3..4, 4..6]);
    }
}
