//! `docker image prune`: removes images that nothing uses, one by one, by the rules of removal.

use super::Image;
use super::list::created;
use super::remove::{Children, Force, ImageUser};
use super::state::State;
use super::verbs::Images;
use crate::services::Failure;
use docker_api::error::SEVERAL_UNTIL;
use docker_api::filters::Filters;
use docker_api::images::ImagesPruneReport;
use docker_api::timestamps;
use protocol::Principal;
use std::collections::BTreeMap;
use time::OffsetDateTime;

/// What dockerd's prune takes.
const FILTERS: [&str; 4] = ["dangling", "label", "label!", "until"];

impl Images {
    /// Removes dangling images, or with `dangling=false` all that no container uses. `users` are all containers.
    ///
    /// # Errors
    /// [`Failure::Invalid`] for filters. An image that cannot be removed stays; that is no error.
    pub async fn prune(
        &self,
        by: &Principal,
        filters: &Filters,
        users: &[ImageUser],
    ) -> Result<ImagesPruneReport, Failure> {
        let view = self.view().await?.owned_by(by.tenant.as_str());
        let wanted = candidates(&view, filters, OffsetDateTime::now_utc())?;
        let mut deleted = Vec::new();
        for name in wanted {
            match self
                .remove(by, &name, Force::No, Children::Prune, users.to_vec())
                .await
            {
                Ok(items) => deleted.extend(items),
                // In use, or gone with another.
                Err(Failure::Conflict(_) | Failure::NotFound(_)) => {}
                Err(error) => tracing::warn!(%error, name, "not pruned"),
            }
        }
        let bytes_of = |id: &str| id.strip_prefix("sha256:").and_then(|chain| view.layer(chain));
        let space_reclaimed = deleted
            .iter()
            .filter_map(|item| bytes_of(&item.deleted))
            .map(|layer| layer.size_bytes)
            .sum();
        let attributes = BTreeMap::from([("reclaimed".to_owned(), format!("{space_reclaimed}"))]);
        self.bus
            .publish(by.tenant.as_str(), "image", "prune", "", attributes);
        let images_deleted = Some(deleted).filter(|deleted| !deleted.is_empty());
        Ok(ImagesPruneReport {
            images_deleted,
            space_reclaimed,
        })
    }
}

/// Names and ids to remove.
fn candidates(state: &State, filters: &Filters, now: OffsetDateTime) -> Result<Vec<String>, Failure> {
    let invalid = |bad: docker_api::filters::FilterError| Failure::Invalid(bad.to_string());
    filters.accept_only(&FILTERS).map_err(invalid)?;
    let only_dangling = filters.boolean("dangling", true).map_err(invalid)?;
    let until = until(filters, now)?;
    let fits = |image: &Image| {
        let empty = BTreeMap::new();
        let labels = image.config.config.labels.as_ref().unwrap_or(&empty);
        let is_old = until.is_none_or(|until| created(image).is_some_and(|created| created <= until));
        let has_any = |key| filters.contains(key) && filters.matches_pairs(key, labels);
        is_old && filters.matches_pairs("label", labels) && !has_any("label!")
    };
    let mut wanted = Vec::new();
    for image in state.images().filter(|image| fits(image)) {
        let is_parent = state.children(&image.id).next().is_some();
        if image.names().next().is_none() {
            if !is_parent {
                wanted.push(image.id.clone());
            }
        } else if !only_dangling || image.tags.is_empty() && !is_parent {
            wanted.extend(image.names().cloned());
        }
    }
    Ok(wanted)
}

fn until(filters: &Filters, now: OffsetDateTime) -> Result<Option<OffsetDateTime>, Failure> {
    let mut values = filters.values("until");
    let (first, second) = (values.next(), values.next());
    if second.is_some() {
        return Err(Failure::Invalid(SEVERAL_UNTIL.to_owned()));
    }
    // dockerd answers 500 for a time that is none.
    let parse = |text| timestamps::parse_flexible(text, now).map_err(|bad| Failure::System(bad.to_string()));
    first.map(parse).transpose()
}

#[cfg(test)]
mod tests {
    use super::super::tests::fake::image;
    use super::*;

    fn wanted(filters: &str) -> Result<Vec<String>, String> {
        let mut labelled = image('a', &[]);
        labelled.config.config.labels = Some(BTreeMap::from([("k".to_owned(), "v".to_owned())]));
        labelled.config.created = Some("2025-01-01T00:00:00Z".to_owned());
        let (base, mut child) = (image('b', &[]), image('c', &["x:1", "x:2"]));
        child.parent = Some(base.id.clone());
        let state = State::of(vec![labelled, base, child]);
        let filters = Filters::parse(filters).unwrap();
        candidates(&state, &filters, OffsetDateTime::now_utc()).map_err(|error| error.to_string())
    }

    #[test]
    fn only_dangling_images_are_pruned_unless_all_are_wanted() {
        let dangling = image('a', &[]).id;
        for (filters, expected) in [
            ("", vec![dangling.as_str()]),
            (r#"{"dangling":["true"]}"#, vec![&dangling]),
            (r#"{"dangling":["false"]}"#, vec![&dangling, "x:1", "x:2"]),
            (r#"{"label":["k"]}"#, vec![&dangling]),
            (r#"{"label":["z"]}"#, vec![]),
            (r#"{"label!":["k"]}"#, vec![]),
            (r#"{"until":["2024-01-01"]}"#, vec![]),
            (r#"{"until":["2025-06-01"]}"#, vec![&dangling]),
        ] {
            assert_eq!(wanted(filters).unwrap(), expected, "{filters}");
        }
    }

    #[test]
    fn wrong_filters_are_refused_in_dockerds_words() {
        for (filters, words) in [
            (r#"{"zz":["x"]}"#, "invalid filter 'zz'"),
            (
                r#"{"until":["zz"]}"#,
                "failed to parse value as time or duration: \"zz\"",
            ),
            (r#"{"until":["1h","2h"]}"#, "more than one until filter specified"),
        ] {
            assert_eq!(wanted(filters), Err(words.to_owned()));
        }
    }
}
