//! `docker images`: which images are shown, and as what.

use super::Image;
use super::pattern::Pattern;
use super::remove::ImageUser;
use super::state::State;
use super::verbs::Images;
use crate::services::Failure;
use docker_api::filters::Filters;
use docker_api::images::ImageSummary;
use docker_api::reference::Reference;
use docker_api::timestamps;
use protocol::Principal;
use std::sync::Arc;
use time::OffsetDateTime;

/// What dockerd's list takes.
const FILTERS: [&str; 6] = ["before", "dangling", "label", "reference", "since", "until"];

/// Whether bytes shared with other images are counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Sharing {
    /// No: -1 is shown.
    #[default]
    Uncounted,
    /// Yes.
    Counted,
}

/// What a list is to show.
#[derive(Debug, Clone, Default)]
pub struct ListWish {
    /// Nameless images that others were built on, too.
    pub all: bool,
    /// The filters.
    pub filters: Filters,
    /// Shared bytes.
    pub sharing: Sharing,
    /// All containers, where they are to be counted (API 1.51); else -1 is shown.
    pub users: Option<Vec<ImageUser>>,
}

impl Images {
    /// The images that a client asked for, newest first.
    ///
    /// # Errors
    /// [`Failure::Invalid`] for filters, [`Failure::NotFound`] for an image that a filter names.
    pub async fn list(&self, by: &Principal, wish: &ListWish) -> Result<Vec<ImageSummary>, Failure> {
        list(&self.seen(by).await?, wish, OffsetDateTime::now_utc())
    }

    /// Bytes of all layers of the images that the tenant sees, each counted once.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn layers_bytes(&self, by: &Principal) -> Result<u64, Failure> {
        Ok(self.seen(by).await?.layers_bytes())
    }
}

fn list(state: &State, wish: &ListWish, now: OffsetDateTime) -> Result<Vec<ImageSummary>, Failure> {
    let filter = Filter::read(state, &wish.filters, now)?;
    let mut shown: Vec<(Option<OffsetDateTime>, ImageSummary)> = Vec::new();
    for image in state.images().filter(|image| filter.fits(image)) {
        let (tags, digests) = (filter.names(&image.tags), filter.names(&image.digests));
        let is_nameless = tags.is_empty() && digests.is_empty();
        let is_shown = if is_nameless {
            let is_between = state.children(&image.id).next().is_some();
            (!is_between || wish.all && filter.dangling != Some(true))
                && filter.dangling != Some(false)
                && filter.patterns.is_empty()
        } else {
            filter.dangling != Some(true) || tags.is_empty()
        };
        if is_shown {
            shown.push((created(image), summary(state, image, wish, tags, digests)));
        }
    }
    shown.sort_by(|(one, _), (other, _)| other.cmp(one));
    Ok(shown.into_iter().map(|(_, summary)| summary).collect())
}

fn summary(
    state: &State,
    image: &Image,
    wish: &ListWish,
    tags: Vec<String>,
    digests: Vec<String>,
) -> ImageSummary {
    let count = |users: &Vec<ImageUser>| users.iter().filter(|user| user.image == image.id).count();
    ImageSummary {
        containers: wish.users.as_ref().map_or(-1, |users| count(users) as i64),
        created: created(image).map_or(0, OffsetDateTime::unix_timestamp),
        id: image.id.clone(),
        labels: image.config.config.labels.clone(),
        parent_id: image.parent.clone().unwrap_or_default(),
        repo_digests: digests,
        repo_tags: tags,
        shared_size: match wish.sharing {
            Sharing::Uncounted => -1,
            Sharing::Counted => shared_bytes(state, image),
        },
        size: image.size_bytes as i64,
        ..ImageSummary::default()
    }
}

fn shared_bytes(state: &State, image: &Image) -> i64 {
    let shared = image.chain.iter().filter(|chain| state.users_of(chain) > 1);
    shared
        .filter_map(|chain| state.layer(chain))
        .map(|layer| layer.size_bytes as i64)
        .sum()
}

/// When an image was made.
pub(super) fn created(image: &Image) -> Option<OffsetDateTime> {
    image
        .config
        .created
        .as_deref()
        .and_then(timestamps::parse_rfc3339)
}

struct Filter<'a> {
    filters: &'a Filters,
    patterns: Vec<Pattern>,
    dangling: Option<bool>,
    /// Made before this, and not at it.
    before: Option<OffsetDateTime>,
    /// Made after this, and not at it.
    since: Option<OffsetDateTime>,
}

impl<'a> Filter<'a> {
    fn read(state: &State, filters: &'a Filters, now: OffsetDateTime) -> Result<Self, Failure> {
        let invalid = |bad: docker_api::filters::FilterError| Failure::Invalid(bad.to_string());
        filters.accept_only(&FILTERS).map_err(invalid)?;
        let patterns = filters
            .values("reference")
            .map(Pattern::parse)
            .collect::<Result<_, _>>();
        let dangling = filters.boolean("dangling", false).map_err(invalid)?;
        let mut before = named_times(state, filters, "before")?.into_iter().min();
        let since = named_times(state, filters, "since")?.into_iter().max();
        for until in filters.values("until") {
            // dockerd answers 500 for a time that is none.
            let until =
                timestamps::parse_flexible(until, now).map_err(|bad| Failure::System(bad.to_string()))?;
            before = Some(before.map_or(until, |before| before.min(until)));
        }
        Ok(Filter {
            filters,
            patterns: patterns.map_err(|bad: super::pattern::BadPattern| Failure::System(bad.to_string()))?,
            dangling: filters.contains("dangling").then_some(dangling),
            before,
            since,
        })
    }

    fn fits(&self, image: &Image) -> bool {
        let made = created(image);
        let empty = std::collections::BTreeMap::new();
        let labels = image.config.config.labels.as_ref().unwrap_or(&empty);
        self.before
            .is_none_or(|before| made.is_none_or(|made| made < before))
            && self
                .since
                .is_none_or(|since| made.is_none_or(|made| made > since))
            && self.filters.matches_pairs("label", labels)
    }

    /// The names that fit a pattern, whole or without their tag.
    fn names(&self, names: &[String]) -> Vec<String> {
        let fits = |name: &&String| {
            let repository = Reference::parse(name)
                .map(|reference| reference.familiar_name())
                .unwrap_or_default();
            self.patterns.is_empty()
                || self
                    .patterns
                    .iter()
                    .any(|pattern| pattern.fits(name) || pattern.fits(&repository))
        };
        names.iter().filter(fits).cloned().collect()
    }
}

fn named_times(state: &State, filters: &Filters, key: &str) -> Result<Vec<OffsetDateTime>, Failure> {
    let mut times = Vec::new();
    for wanted in filters.values(key) {
        let image: Arc<Image> = state.find(wanted)?;
        times.push(created(&image).unwrap_or(OffsetDateTime::UNIX_EPOCH));
    }
    Ok(times)
}

#[cfg(test)]
mod tests {
    use super::super::state::Layer;
    use super::super::tables::Tables;
    use super::super::tests::fake::image;
    use super::*;
    use std::collections::BTreeMap;

    fn state() -> State {
        let made = |digit: char, tags: &[&str], created: &str| {
            let mut image = image(digit, tags);
            image.config.created = Some(created.to_owned());
            image.chain = vec!["shared".to_owned()];
            image
        };
        let mut labelled = made('a', &["x:1", "x:2", "example.com/y:1"], "2025-01-01T00:00:00Z");
        labelled.config.config.labels = Some(BTreeMap::from([("k".to_owned(), "v".to_owned())]));
        let base = made('b', &[], "2025-02-01T00:00:00Z");
        let mut child = made('c', &["child:1"], "2025-03-01T00:00:00Z");
        child.parent = Some(base.id.clone());
        child.chain.push("own".to_owned());
        let dangling = made('d', &[], "2025-04-01T00:00:00Z");
        let layer = |chain: &str, size_bytes| Layer {
            chain: chain.to_owned(),
            parent: None,
            diff: String::new(),
            size_bytes,
        };
        Tables::new(
            vec![labelled, base, child, dangling],
            vec![layer("shared", 10), layer("own", 5)],
        )
        .seen_by(crate::tenants::DEFAULT)
    }

    fn shown(filters: &str, all: bool) -> Result<String, String> {
        let wish = ListWish {
            all,
            filters: Filters::parse(filters).unwrap(),
            ..ListWish::default()
        };
        let now = timestamps::parse_rfc3339("2025-05-01T00:00:00Z").unwrap();
        let list = list(&state(), &wish, now).map_err(|error| error.to_string())?;
        Ok(list.iter().map(|summary| &summary.id[7..8]).collect())
    }

    #[test]
    fn filters_show_what_dockerd_shows() {
        for (filters, all, expected) in [
            ("", false, "dca"),
            ("", true, "dcba"),
            (r#"{"dangling":["true"]}"#, false, "d"),
            (r#"{"dangling":["true"]}"#, true, "d"),
            (r#"{"dangling":["false"]}"#, false, "ca"),
            (r#"{"label":["k=v"]}"#, false, "a"),
            (r#"{"label":["z"]}"#, false, ""),
            (r#"{"before":["child:1"]}"#, true, "ba"),
            (r#"{"since":["x:1"]}"#, false, "dc"),
            (r#"{"until":["2025-03-01T00:00:00Z"]}"#, true, "ba"),
            (r#"{"until":["45d"]}"#, true, ""),
            (r#"{"reference":["x"]}"#, true, "a"),
            (r#"{"reference":["*"]}"#, true, "ca"),
            (r#"{"reference":["child:*"]}"#, true, "c"),
            (r#"{"reference":["nosuchxx"]}"#, true, ""),
        ] {
            match shown(filters, all) {
                Ok(ids) => assert_eq!(ids, expected, "{filters}"),
                Err(error) => assert!(filters.contains("45d"), "{filters}: {error}"),
            }
        }
    }

    #[test]
    fn wrong_filters_are_refused_in_dockerds_words() {
        for (filters, words) in [
            (r#"{"zz":["x"]}"#, "invalid filter 'zz'"),
            (r#"{"dangling":["maybe"]}"#, "invalid filter 'dangling=[maybe]'"),
            (r#"{"before":["nosuchxx"]}"#, "No such image: nosuchxx:latest"),
            (r#"{"since":["a b"]}"#, "invalid reference format"),
            (
                r#"{"until":["zz"]}"#,
                "failed to parse value as time or duration: \"zz\"",
            ),
            (r#"{"reference":["["]}"#, "syntax error in pattern"),
        ] {
            assert_eq!(shown(filters, false), Err(words.to_owned()));
        }
    }

    #[test]
    fn only_fitting_names_are_shown_and_counts_only_where_asked_for() {
        let user = ImageUser {
            container: "c".repeat(64),
            image: image('a', &[]).id,
            is_running: true,
        };
        let mut wish = ListWish {
            filters: Filters::parse(r#"{"reference":["x:2"]}"#).unwrap(),
            ..ListWish::default()
        };
        let now = OffsetDateTime::UNIX_EPOCH;
        let plain = list(&state(), &wish, now).unwrap().remove(0);
        assert_eq!(
            (plain.repo_tags, plain.containers, plain.shared_size),
            (vec!["x:2".to_owned()], -1, -1)
        );
        wish.users = Some(vec![user]);
        wish.sharing = Sharing::Counted;
        let counted = list(&state(), &wish, now).unwrap().remove(0);
        assert_eq!((counted.containers, counted.shared_size), (1, 10));
    }
}
