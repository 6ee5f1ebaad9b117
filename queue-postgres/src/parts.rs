//! Finding the one that is in the way of its neighbours.

use std::ops::Range;

/// A list that is done part by part: whole at first, and in halves where that does not work.
#[derive(Debug)]
pub(crate) struct Parts(Vec<Range<usize>>);

impl Parts {
    /// All of a list of this length.
    pub(crate) fn of(length: usize) -> Self {
        let whole = 0..length;
        Self(if whole.is_empty() { Vec::new() } else { Vec::from([whole]) })
    }

    /// All of a list whose items have these sizes, in parts of no more than `most` together; a larger item is a
    /// part of its own.
    pub(crate) fn of_sizes(sizes: impl Iterator<Item = usize>, most: usize) -> Self {
        let mut parts: Vec<Range<usize>> = Vec::new();
        let mut together = 0_usize;
        for (place, size) in sizes.enumerate() {
            together = together.saturating_add(size);
            match parts.last_mut() {
                Some(part) if together <= most => part.end = place + 1,
                _ => {
                    parts.push(place..place + 1);
                    together = size;
                }
            }
        }
        parts.reverse();
        Self(parts)
    }

    /// What is to be done next, in the order of the list.
    pub(crate) fn next(&mut self) -> Option<Range<usize>> {
        self.0.pop()
    }

    /// Has a part of two or more done in halves.
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
    fn every_item_comes_up_alone_and_in_order() {
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
    fn parts_are_no_larger_than_they_may_be() {
        let mut parts = Parts::of_sizes([3, 4, 4, 20, 1, 1].into_iter(), 8);
        let all: Vec<_> = std::iter::from_fn(|| parts.next()).collect();
        assert_eq!(all, [0..2, 2..3, 3..4, 4..6]);
    }
}
