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
///
/// A call that was given up before its callee recorded anything may name nobody. It was made in the same place and under the same name (`via`) as
/// calls whose callee is known: where that is one callee, the nameless call is a call of it, in whatever order they are seen. So it is with what is
/// called of a service, which a call that the service did not record names by its caller's word for it alone (`GET` rather than `GET /cart`).
#[derive(Debug, Default)]
pub struct Sites {
    all: Vec<Site>,
    by_key: HashMap<SiteKey, SiteId>,
    /// By the caller's name for a call: whoever is called, and by the service that is.
    by_via: HashMap<(Option<SiteId>, Symbol, Option<Symbol>, bool), Via>,
}

/// Whom a caller's name for a call has led to, in one place.
#[derive(Clone, Copy, Debug)]
enum Via {
    /// Nobody, or nothing of a service, that is known so far.
    Half(SiteId),
    /// One callee.
    One(SiteId),
    /// Several: the name says nothing.
    Several,
}

impl Sites {
    /// The site of a call; a new one while there are fewer than `most`. `nameless`: its callee is not known.
    pub(super) fn file(&mut self, site: Site, nameless: bool, most: usize) -> Option<SiteId> {
        let key = (site.parent, site.service, site.operation, site.message);
        // By the caller's record alone what is called has the caller's name for it.
        let is_half = nameless || site.operation == site.via;
        let known = self.by_key.get(&key).copied();
        // Nearly always: seen before, under the same name.
        if let Some(id) = known.filter(|id| !nameless && self.get(*id).is_some_and(|one| one.via == site.via))
        {
            return Some(id);
        }
        let namesake = self.namesake(&site, nameless);
        let id = match (known, namesake) {
            (_, Some(Via::One(one))) if is_half => return Some(one),
            (Some(known), _) => known,
            // Whom the calls so far that did not say it have meant.
            (None, Some(Via::Half(first))) if !is_half => self.name(first, site, key),
            (None, _) => self.add(site, key, most)?,
        };
        if !site.via.is_none() {
            self.note(&site, id, nameless, is_half);
        }
        Some(id)
    }

    /// Whom the caller's name for a call has led to: by that name alone where nobody knows the callee, else among calls of that service.
    fn namesake(&self, site: &Site, nameless: bool) -> Option<Via> {
        let of = |service: Option<Symbol>| {
            self.by_via.get(&(site.parent, site.via, service, site.message)).copied()
        };
        match (site.via.is_none(), nameless) {
            (true, _) => None,
            (false, true) => of(None),
            // A call that named nobody before is looked for too.
            (false, false) => {
                of(Some(site.service)).or_else(|| of(None).filter(|via| matches!(via, Via::Half(_))))
            }
        }
    }

    /// Notes whom a caller's name for a call leads to.
    fn note(&mut self, site: &Site, id: SiteId, nameless: bool, is_half: bool) {
        let services: &[Option<Symbol>] = if nameless { &[None] } else { &[None, Some(site.service)] };
        for &service in services {
            // By the name alone a half call of a known service is as good as a whole one.
            let is_half = if service.is_some() { is_half } else { nameless };
            let slot = self.by_via.entry((site.parent, site.via, service, site.message));
            let led_to = slot.or_insert(if is_half { Via::Half(id) } else { Via::One(id) });
            *led_to = match (is_half, *led_to) {
                (true, known) => known,
                (false, Via::One(one) | Via::Half(one)) if one == id => Via::One(id),
                (false, _) => Via::Several,
            };
        }
    }

    fn name(&mut self, id: SiteId, site: Site, key: SiteKey) -> SiteId {
        if let Some(slot) = self.all.get_mut(id.index()) {
            let nameless = std::mem::replace(slot, site);
            self.by_key.remove(&(nameless.parent, nameless.service, nameless.operation, nameless.message));
        }
        self.by_key.insert(key, id);
        id
    }

    fn add(&mut self, site: Site, key: SiteKey, most: usize) -> Option<SiteId> {
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
