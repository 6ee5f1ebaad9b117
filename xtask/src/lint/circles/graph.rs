//! The graph of imports among the modules of one folder.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// The file and line of an import.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Location {
    pub(super) path: String,
    pub(super) line: usize,
}

/// The modules of a folder and the first import of each by each.
#[derive(Debug, Clone, Default)]
pub(super) struct Graph(BTreeMap<String, BTreeMap<String, Location>>);

/// Modules of which each imports the next, and the last imports the first.
#[derive(Debug)]
pub(super) struct Circle {
    /// Starts with the alphabetically first module.
    pub(super) modules: Vec<String>,
    /// The import of the next module, for each module.
    pub(super) locations: Vec<Location>,
}

impl Graph {
    /// Adds an import, unless one between the same modules is known.
    pub(super) fn add(&mut self, from: &str, to: &str, location: Location) {
        let imports = self.0.entry(from.to_owned()).or_default();
        imports.entry(to.to_owned()).or_insert(location);
    }

    /// Whether the import exists and is part of a circle.
    pub(super) fn is_in_circle(&self, from: &str, to: &str) -> bool {
        let exists = self.0.get(from).is_some_and(|imports| imports.contains_key(to));
        exists && self.shortest_path(to, from).is_some()
    }

    /// The graph without some of its imports.
    pub(super) fn without(&self, imports: &BTreeSet<(&str, &str)>) -> Self {
        let mut graph = self.clone();
        for (from, to) in imports {
            graph.0.get_mut(*from).and_then(|imports| imports.remove(*to));
        }
        graph
    }

    /// The shortest circle of each import that is part of one, without duplicates.
    pub(super) fn circles(&self) -> Vec<Circle> {
        let mut found = BTreeSet::new();
        for (from, imports) in &self.0 {
            for to in imports.keys() {
                if let Some(way) = self.shortest_path(to, from) {
                    found.insert(from_first(way));
                }
            }
        }
        found.into_iter().map(|modules| self.circle(&modules)).collect()
    }

    /// The modules from `start` to `end`, both included.
    fn shortest_path<'a>(&'a self, start: &'a str, end: &str) -> Option<Vec<&'a str>> {
        let mut before: BTreeMap<&str, &str> = BTreeMap::new();
        let mut next = VecDeque::from([start]);
        while let Some(module) = next.pop_front() {
            if module == end {
                let way = std::iter::successors(Some(module), |module| before.get(module).copied());
                let mut way: Vec<&str> = way.collect();
                way.reverse();
                return Some(way);
            }
            for imported in self.0.get(module).into_iter().flat_map(BTreeMap::keys) {
                if imported != start && !before.contains_key(imported.as_str()) {
                    before.insert(imported, module);
                    next.push_back(imported);
                }
            }
        }
        None
    }

    fn circle(&self, modules: &[&str]) -> Circle {
        let next = modules.iter().cycle().skip(1);
        let locations = modules.iter().zip(next).map(|(from, to)| self.0[*from][*to].clone()).collect();
        Circle { modules: modules.iter().map(|module| (*module).to_owned()).collect(), locations }
    }
}

/// Rotates the circle to start with its alphabetically first module.
fn from_first(mut circle: Vec<&str>) -> Vec<&str> {
    let first = circle.iter().enumerate().min_by_key(|(_, module)| **module);
    let first = first.map_or(0, |(index, _)| index);
    circle.rotate_left(first);
    circle
}

#[cfg(test)]
mod tests {
    use super::*;

    fn circles(imports: &[(&str, &str)]) -> Vec<String> {
        let mut graph = Graph::default();
        for (line, (from, to)) in (1..).zip(imports) {
            graph.add(from, to, Location { path: format!("{from}.rs"), line });
        }
        graph.circles().iter().map(|circle| circle.modules.join(" ")).collect()
    }

    #[test]
    fn each_circle_is_found_once() {
        let imports = [("c", "a"), ("a", "b"), ("b", "c"), ("b", "a"), ("d", "a"), ("b", "e")];
        assert_eq!(circles(&imports), ["a b", "a b c"]);
    }

    #[test]
    fn one_way_imports_are_no_circle() {
        assert_eq!(circles(&[("a", "b"), ("b", "c"), ("a", "c"), ("d", "c")]), [""; 0]);
    }
}
