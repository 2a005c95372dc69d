//! Sites: places of calls, as a tree from the entry.

use hashbrown::HashMap;

use emac_trace::Symbol;

/// A site's number, in the order first seen; a caller's is smaller than that of what it calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SiteId(u32);

impl SiteId {
    /// Position, dense from 0.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// A place in the tree of calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Site {
    /// Who calls; `None` for an entry.
    pub parent: Option<SiteId>,
    /// Who is called.
    pub service: Symbol,
    /// What is called.
    pub operation: Symbol,
    /// The caller's name for it, as first seen.
    pub via: Symbol,
    /// Nobody waits for an answer.
    pub message: bool,
}

type SiteKey = (Option<SiteId>, Symbol, Symbol, bool);

/// All sites.
#[derive(Debug, Default)]
pub struct Sites {
    all: Vec<Site>,
    by_key: HashMap<SiteKey, SiteId>,
}

impl Sites {
    /// The site of a call; a new one while there are fewer than `most`.
    pub(super) fn file(&mut self, site: Site, most: usize) -> Option<SiteId> {
        let key = (site.parent, site.service, site.operation, site.message);
        if let Some(&known) = self.by_key.get(&key) {
            return Some(known);
        }
        if self.all.len() >= most {
            return None;
        }
        let id = SiteId(u32::try_from(self.all.len()).ok()?);
        self.all.push(site);
        self.by_key.insert(key, id);
        Some(id)
    }

    /// A site of this table.
    pub fn get(&self, id: SiteId) -> Option<&Site> {
        self.all.get(id.index())
    }

    /// The site at a position.
    pub fn at(&self, index: usize) -> Option<SiteId> {
        (index < self.all.len()).then(|| u32::try_from(index).ok().map(SiteId)).flatten()
    }

    /// Every site with its number.
    pub fn iter(&self) -> impl Iterator<Item = (SiteId, &Site)> {
        self.all.iter().zip(0_u32..).map(|(site, id)| (SiteId(id), site))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }
}
