//! Observations under more general names: sites that become one are counted and sampled as one.

use std::collections::{BTreeMap, BTreeSet};

use hashbrown::HashMap;

use super::super::templates::{
    Crowd, Generalized, KnownTemplates, Operations, Templates, generalized, templates,
};
use super::{Observations, Sample, Shape, Site, SiteId, Sites};
use emac_trace::{Symbol, Symbols};

/// New names by service and operation.
type Renamed = HashMap<(Symbol, Symbol), Symbol>;

impl Observations {
    /// Puts together operations that differ in an id only (see `discover::templates`), except for those that are `kept`: what became one, and what did
    /// not although there is much of it. `known` are templates of what was observed before, to which it adds those of now. To be asked when
    /// everything was observed. O(what is kept, and names times templates known of a service).
    pub fn generalize(
        &mut self,
        symbols: &mut Symbols,
        kept: &BTreeSet<String>,
        known: &mut KnownTemplates,
    ) -> (Vec<Generalized>, Vec<Crowd>) {
        let mut by_service: BTreeMap<Symbol, BTreeMap<Symbol, u64>> = BTreeMap::new();
        self.count_operations(&mut by_service);
        let (mut renamed, mut told, mut crowds) = (Renamed::new(), Vec::new(), Vec::new());
        for (service, operations) in by_service {
            let name = symbols.text(service).to_owned();
            let texts: Operations =
                operations.iter().map(|(one, count)| (symbols.text(*one).to_owned(), *count)).collect();
            let mut found: Templates = templates(&name, &texts, kept);
            known.meet(&name, &texts, kept, &mut found);
            told.extend(generalized(&name, &found));
            for (operation, template) in &found.renamed {
                if let Some(old) = symbols.find(operation) {
                    renamed.insert((service, old), symbols.of(template));
                }
            }
            crowds.extend(found.crowds);
        }
        if !renamed.is_empty() {
            self.rename(&renamed);
        }
        (told, crowds)
    }

    fn parts(&mut self) -> impl Iterator<Item = &mut Self> {
        [self.headless.as_deref_mut(), self.fragments.as_deref_mut()].into_iter().flatten()
    }

    fn count_operations(&mut self, by_service: &mut BTreeMap<Symbol, BTreeMap<Symbol, u64>>) {
        for (id, count) in self.shapes.iter().flat_map(|shape| shape.sites.iter().zip(&shape.counts)) {
            if let Some(site) = self.sites.get(*id) {
                *by_service.entry(site.service).or_default().entry(site.operation).or_default() +=
                    count.times;
            }
        }
        self.parts().for_each(|part| part.count_operations(by_service));
    }

    fn rename(&mut self, renamed: &Renamed) {
        let most = self.limits.sites;
        let mut sites = Sites::default();
        let mut new: Vec<Option<SiteId>> = Vec::with_capacity(self.sites.len());
        // A caller stands before what it calls.
        for (_, site) in self.sites.iter() {
            let operation = renamed.get(&(site.service, site.operation)).copied().unwrap_or(site.operation);
            let parent = site.parent.map(|parent| new.get(parent.index()).copied().flatten());
            let id = match parent {
                Some(None) => None,
                parent => sites.file(Site { parent: parent.flatten(), operation, ..*site }, false, most),
            };
            new.push(id);
        }
        self.sites = sites;
        let of = |site: SiteId| new.get(site.index()).copied().flatten();
        let shape_of = self.rename_shapes(&of);
        self.rename_samples(&of, &shape_of);
        self.parts().for_each(|part| part.rename(renamed));
    }

    /// The new number of each shape.
    fn rename_shapes(&mut self, of: &dyn Fn(SiteId) -> Option<SiteId>) -> Vec<u32> {
        let mut by_sites: BTreeMap<(Symbol, Vec<SiteId>), u32> = BTreeMap::new();
        let mut shapes: Vec<Shape> = Vec::new();
        let mut numbers = Vec::with_capacity(self.shapes.len());
        for shape in std::mem::take(&mut self.shapes) {
            let mut counts: BTreeMap<SiteId, super::Count> = BTreeMap::new();
            for (site, count) in shape.sites.iter().zip(&shape.counts) {
                if let Some(site) = of(*site) {
                    counts.entry(site).or_default().add(*count);
                }
            }
            let sites: Vec<_> = counts.keys().copied().collect();
            let next = u32::try_from(shapes.len()).unwrap_or(u32::MAX);
            let number = *by_sites.entry((shape.journey, sites.clone())).or_insert(next);
            numbers.push(number);
            let Some(known) = shapes.get_mut(number as usize) else {
                shapes.push(Shape { sites, counts: counts.into_values().collect(), ..shape });
                continue;
            };
            known.traces += shape.traces;
            known.counts.iter_mut().zip(counts.into_values()).for_each(|(count, more)| count.add(more));
            let room = emac_compile::model::Provenance::TRACES_MAX.saturating_sub(known.examples.len());
            known.examples.extend(shape.examples.iter().take(room));
        }
        self.shapes = shapes;
        self.shape_of.clear();
        numbers
    }

    fn rename_samples(&mut self, of: &dyn Fn(SiteId) -> Option<SiteId>, shape_of: &[u32]) {
        let mut samples: HashMap<SiteId, Sample> = HashMap::new();
        let mut old: Vec<_> = std::mem::take(&mut self.samples).into_iter().collect();
        // In an order of its own, so that equal hashes are kept alike every time.
        old.sort_unstable_by_key(|(site, _)| *site);
        for (site, sample) in old {
            let Some(site) = of(site) else { continue };
            let into = samples.entry(site).or_default();
            for occurrence in sample.smallest(usize::MAX) {
                if !into.wants(occurrence.hash, self.limits.sample) {
                    continue;
                }
                let mut occurrence = occurrence.clone();
                occurrence.shape =
                    shape_of.get(occurrence.shape as usize).copied().unwrap_or(occurrence.shape);
                occurrence.calls = occurrence
                    .calls
                    .iter()
                    .filter_map(|call| Some(super::SampledCall { site: of(call.site)?, ..*call }))
                    .collect();
                into.take(occurrence, self.limits.sample);
            }
        }
        self.samples = samples;
    }
}
