//! The hash tree of RFC 6962 as far as it must be known to grow: the roots of the whole subtrees that make it up.

use sha2::{Digest, Sha256};

use crate::store::Hash;

/// A tree of so many leaves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tree {
    size: i64,
    /// The roots of whole subtrees, the largest first: one for each bit that is set in the size.
    edge: Vec<Hash>,
}

impl Tree {
    /// The tree of which the store kept the edge; none if that is no edge of a tree of this size.
    pub fn with_edge(size: i64, edge: &[u8]) -> Option<Self> {
        let (hashes, rest) = edge.as_chunks();
        let fits = rest.is_empty() && size >= 0 && hashes.len() == size.count_ones() as usize;
        fits.then(|| Self { size, edge: hashes.to_vec() })
    }

    /// How many leaves it has.
    pub fn size(&self) -> i64 {
        self.size
    }

    /// The edge, as the store keeps it.
    pub fn edge(&self) -> Vec<u8> {
        self.edge.concat()
    }

    /// Adds a leaf.
    pub fn push(&mut self, leaf: Hash) {
        let mut root = leaf;
        for _ in 0..self.size.trailing_ones() {
            let left = self.edge.pop().expect("one for each bit that is set");
            root = node(&left, &root);
        }
        self.edge.push(root);
        self.size += 1;
    }

    /// The root of the whole tree.
    pub fn root(&self) -> Hash {
        let mut smallest_first = self.edge.iter().rev();
        let Some(last) = smallest_first.next() else { return Sha256::digest([]).into() };
        smallest_first.fold(*last, |right, left| node(left, &right))
    }
}

fn node(left: &Hash, right: &Hash) -> Hash {
    Sha256::new().chain_update([1]).chain_update(left).chain_update(right).finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::leaf_hash;

    /// The root as RFC 6962 defines it.
    fn defined(leaves: &[Hash]) -> Hash {
        match leaves {
            [] => Sha256::digest([]).into(),
            [leaf] => *leaf,
            _ => {
                let (left, right) = leaves.split_at(leaves.len().next_power_of_two() / 2);
                node(&defined(left), &defined(right))
            }
        }
    }

    #[test]
    fn a_tree_that_grows_has_the_root_that_is_defined_at_every_size() {
        let mut tree = Tree::default();
        let mut leaves = Vec::new();
        for number in 0..70 {
            assert_eq!(tree.root(), defined(&leaves), "{number} leaves");
            assert_eq!(Tree::with_edge(number, &tree.edge()), Some(tree.clone()));
            leaves.push(leaf_hash(&number.to_string()));
            tree.push(leaves[leaves.len() - 1]);
        }
        assert_eq!(Tree::with_edge(3, &[0; 32]), None);
        assert_eq!(Tree::with_edge(1, &[0; 33]), None);
    }
}
