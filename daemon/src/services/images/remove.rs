//! What a removal takes away, and what stands against it: dockerd's rules, decided on a copy of the table.

use super::Image;
use super::find::is_beginning;
use super::state::{Change, State, lookup_name};
use crate::services::Failure;
use docker_api::error::{ImageUse, image_in_use, image_reference_in_use};
use docker_api::ids::{ContainerId, ImageId};
use docker_api::reference::Reference;
use std::collections::BTreeSet;
use std::sync::Arc;

/// A container as removal sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageUser {
    /// The container's id.
    pub container: String,
    /// The id of the image that it was made from.
    pub image: String,
    /// Whether it runs.
    pub is_running: bool,
}

/// Whether soft conflicts count: stopped containers and several names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Force {
    /// They stand against removal.
    No,
    /// They do not.
    Yes,
}

/// What happens to nameless images that the removed one was built on (`noprune`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Children {
    /// They go too, as far as nothing else needs them.
    Prune,
    /// They stay.
    Keep,
}

/// A planned removal.
#[derive(Debug)]
pub(super) struct Removal {
    /// The rows that change.
    pub(super) change: Change,
    /// What happens, in the order in which it is reported.
    pub(super) steps: Vec<Step>,
}

/// One thing that a removal does.
#[derive(Debug)]
pub(super) enum Step {
    /// A name goes.
    Untagged {
        /// The image that had it.
        image: Arc<Image>,
        /// The name, familiar form.
        name: String,
    },
    /// An image goes, and with it those of its layers that nothing else needs.
    Deleted(Arc<Image>),
}

/// Whether a conflict ends the request, or only the removal at the point that was reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Manner {
    Loud,
    Quiet,
}

impl State {
    /// Plans the removal of what `wanted` means. `users` are all containers of this daemon.
    ///
    /// # Errors
    /// As [`State::find`], or [`Failure::Conflict`] in dockerd's words.
    pub(super) fn plan_removal(
        &self,
        wanted: &str,
        force: Force,
        children: Children,
        users: &[ImageUser],
    ) -> Result<Removal, Failure> {
        let image = self.find(wanted)?;
        let mut plan = Plan {
            after: self.clone(),
            steps: Vec::new(),
            users,
        };
        if is_beginning(&image.id, wanted) {
            plan.check_before_names_go(&image, force)?;
            plan.delete(&image.id, force, Manner::Loud)?;
        } else {
            plan.untag(&image, wanted, force)?;
            if plan.names(&image.id).is_empty() {
                plan.delete(&image.id, force, Manner::Quiet)?;
            }
        }
        if children == Children::Prune {
            plan.prune_parents()?;
        }
        Ok(plan.finish(self))
    }
}

struct Plan<'a> {
    after: State,
    steps: Vec<Step>,
    users: &'a [ImageUser],
}

impl Plan<'_> {
    fn names(&self, id: &str) -> Vec<String> {
        self.after
            .image(id)
            .map(|image| image.names().cloned().collect())
            .unwrap_or_default()
    }

    fn drop_name(&mut self, id: &str, name: &str) {
        let Some(before) = self.after.image(id).cloned() else {
            return;
        };
        let mut after = Image::clone(&before);
        after.tags.retain(|tag| tag != name);
        after.digests.retain(|digest| digest != name);
        self.after.apply(Change {
            put: vec![Arc::new(after)],
            ..Change::default()
        });
        self.steps.push(Step::Untagged {
            image: before,
            name: name.to_owned(),
        });
    }

    /// Takes one name off; with the last tag of a repository go its digests.
    fn untag(&mut self, image: &Image, wanted: &str, force: Force) -> Result<(), Failure> {
        if force == Force::No
            && is_single(image)
            && let Some(user) = self.users.iter().find(|user| user.image == image.id)
        {
            let (container, image) = (container_id(&user.container)?, image_id(&image.id)?);
            return Err(Failure::Conflict(image_reference_in_use(
                wanted, &container, &image,
            )));
        }
        let reference = Reference::parse(wanted).map_err(|bad| Failure::Invalid(bad.to_string()))?;
        self.drop_name(&image.id, &lookup_name(&reference));
        let repository = reference.familiar_name();
        let has_tag = |plan: &Self| {
            let tags = plan
                .after
                .image(&image.id)
                .map(|left| left.tags.clone())
                .unwrap_or_default();
            tags.iter().any(|tag| repository_of(tag) == repository)
        };
        if reference.digest().is_none() && !has_tag(self) {
            for digest in image
                .digests
                .iter()
                .filter(|digest| repository_of(digest) == repository)
            {
                self.drop_name(&image.id, digest);
            }
        }
        Ok(())
    }

    /// Removal by id takes a single name off by itself, after everything else was looked at.
    fn check_before_names_go(&mut self, image: &Image, force: Force) -> Result<(), Failure> {
        if !is_single(image) {
            return Ok(());
        }
        match self.conflict(&image.id, force, Names::MayGo)? {
            Some(text) => Err(Failure::Conflict(text)),
            None => {
                self.names(&image.id)
                    .iter()
                    .for_each(|name| self.drop_name(&image.id, name));
                Ok(())
            }
        }
    }

    fn delete(&mut self, id: &str, force: Force, manner: Manner) -> Result<(), Failure> {
        if let Some(text) = self.conflict(id, force, Names::Count)? {
            let is_used = self.users.iter().any(|user| user.image == id);
            let is_dangling = self.names(id).is_empty() && self.after.children(id).next().is_none();
            return match manner {
                Manner::Quiet if is_used || !is_dangling => Ok(()),
                Manner::Quiet | Manner::Loud => Err(Failure::Conflict(text)),
            };
        }
        let Some(image) = self.after.image(id).cloned() else {
            return Ok(());
        };
        self.names(id).iter().for_each(|name| self.drop_name(id, name));
        self.after.apply(Change {
            gone: vec![id.to_owned()],
            ..Change::default()
        });
        self.steps.push(Step::Deleted(image));
        Ok(())
    }

    /// Goes down the line of parents as long as the image before was deleted and the next is dangling and unused.
    fn prune_parents(&mut self) -> Result<(), Failure> {
        while let Some(Step::Deleted(child)) = self.steps.last()
            && let Some(parent) = child.parent.clone()
            && self.after.image(&parent).is_some()
        {
            let steps = self.steps.len();
            self.delete(&parent, Force::No, Manner::Quiet)?;
            if self.steps.len() == steps {
                break;
            }
        }
        Ok(())
    }

    fn conflict(&self, id: &str, force: Force, names: Names) -> Result<Option<String>, Failure> {
        let image = image_id(id)?;
        let user = |is_running: bool| {
            self.users
                .iter()
                .find(|user| user.image == id && user.is_running == is_running)
        };
        if self.after.children(id).next().is_some() {
            return Ok(Some(image_in_use(&image, ImageUse::Children)));
        }
        if let Some(user) = user(true) {
            return Ok(Some(image_in_use(
                &image,
                ImageUse::Running(&container_id(&user.container)?),
            )));
        }
        if force == Force::Yes {
            return Ok(None);
        }
        if names == Names::Count && !self.names(id).is_empty() {
            return Ok(Some(image_in_use(&image, ImageUse::SeveralRepositories)));
        }
        match user(false) {
            Some(user) => Ok(Some(image_in_use(
                &image,
                ImageUse::Stopped(&container_id(&user.container)?),
            ))),
            None => Ok(None),
        }
    }

    fn finish(self, before: &State) -> Removal {
        let mut gone = BTreeSet::new();
        let mut changed = BTreeSet::new();
        for step in &self.steps {
            match step {
                Step::Untagged { image, .. } => changed.insert(image.id.clone()),
                Step::Deleted(image) => gone.insert(image.id.clone()),
            };
        }
        let put = changed
            .difference(&gone)
            .filter_map(|id| self.after.image(id).cloned())
            .collect();
        let gone = gone.into_iter().filter(|id| before.image(id).is_some()).collect();
        Removal {
            change: Change {
                tenant: before.tenant().to_owned(),
                put,
                gone,
                moved: Vec::new(),
            },
            steps: self.steps,
        }
    }
}

/// Whether names that the image still has stand against its removal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Names {
    Count,
    MayGo,
}

/// Whether there is at most one tag, and only digests of its repository beside it.
fn is_single(image: &Image) -> bool {
    let mut repositories = image.names().map(|name| repository_of(name));
    let first = repositories.next();
    image.tags.len() <= 1 && repositories.all(|repository| Some(repository) == first)
}

fn repository_of(name: &str) -> &str {
    if let Some((repository, _)) = name.split_once('@') {
        return repository;
    }
    match name.rsplit_once(':') {
        // A colon before a slash belongs to a registry's port.
        Some((repository, tag)) if !tag.contains('/') => repository,
        Some(_) | None => name,
    }
}

fn container_id(id: &str) -> Result<ContainerId, Failure> {
    ContainerId::new(id).map_err(|bad| Failure::System(bad.to_string()))
}

fn image_id(id: &str) -> Result<ImageId, Failure> {
    ImageId::new(id).map_err(|bad| Failure::System(bad.to_string()))
}

#[cfg(test)]
mod tests {
    use super::super::tests::fake::image;
    use super::*;

    fn id(digit: char) -> String {
        image(digit, &[]).id
    }

    fn user(digit: char, is_running: bool) -> ImageUser {
        ImageUser {
            container: "c".repeat(64),
            image: id(digit),
            is_running,
        }
    }

    /// What a removal reports, or its conflict with the ids cut out.
    fn removed(
        images: Vec<Image>,
        users: &[ImageUser],
        wanted: &str,
        force: Force,
    ) -> Result<String, String> {
        let state = State::of(images);
        let removal = state
            .plan_removal(wanted, force, Children::Prune, users)
            .map_err(|error| error.to_string())?;
        let mut after = state.clone();
        after.apply(removal.change);
        let words = removal.steps.iter().map(|step| match step {
            Step::Untagged { name, .. } => {
                assert_eq!(after.named(name), None);
                format!("-{name}")
            }
            Step::Deleted(image) => {
                assert!(after.image(&image.id).is_none());
                format!("-{}", &image.id[7..8])
            }
        });
        Ok(words.collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn removals_without_containers_follow_dockerd() {
        let one = || vec![image('a', &["x:1"])];
        let two_tags = || vec![image('a', &["x:1", "x:2"])];
        let (no, yes) = (Force::No, Force::Yes);
        for (images, wanted, force, expected) in [
            (one(), "x:1", no, Ok("-x:1 -a")),
            (one(), "aaaa", no, Ok("-x:1 -a")),
            (two_tags(), "x:1", no, Ok("-x:1")),
            (two_tags(), "aaaa", yes, Ok("-x:1 -x:2 -a")),
            (
                two_tags(),
                "aaaa",
                no,
                Err(
                    "conflict: unable to delete aaaaaaaaaaaa (must be forced) - image is referenced in multiple repositories",
                ),
            ),
            (
                vec![image('a', &["localhost:5000/x:1"])],
                "localhost:5000/x:1",
                no,
                Ok("-localhost:5000/x:1 -a"),
            ),
            (vec![image('a', &[])], &id('a'), no, Ok("-a")),
            (one(), "x:2", no, Err("No such image: x:2")),
        ] {
            let got = removed(images, &[], wanted, force);
            assert_eq!(
                got.as_deref().map_err(String::as_str),
                expected,
                "{wanted} {force:?}"
            );
        }
    }

    #[test]
    fn containers_stand_against_removal_as_in_dockerd() {
        let (no, yes) = (Force::No, Force::Yes);
        let stopped = [user('a', false)];
        let running = [user('a', true)];
        let one = || vec![image('a', &["x:1"])];
        let by_name = "conflict: unable to remove repository reference \"x:1\" (must force) - container cccccccccccc is using its referenced image aaaaaaaaaaaa";
        let by_stopped = "conflict: unable to delete aaaaaaaaaaaa (must be forced) - image is being used by stopped container cccccccccccc";
        let by_running = "conflict: unable to delete aaaaaaaaaaaa (cannot be forced) - image is being used by running container cccccccccccc";
        for (users, wanted, force, expected) in [
            (&stopped, "x:1", no, Err(by_name)),
            (&running, "x:1", no, Err(by_name)),
            (&stopped, "aaaa", no, Err(by_stopped)),
            (&stopped, "x:1", yes, Ok("-x:1 -a")),
            (&stopped, "aaaa", yes, Ok("-x:1 -a")),
            (&running, "aaaa", yes, Err(by_running)),
            // The name goes; the image stays, and dockerd does not call that an error.
            (&running, "x:1", yes, Ok("-x:1")),
        ] {
            let got = removed(one(), users, wanted, force);
            assert_eq!(
                got.as_deref().map_err(String::as_str),
                expected,
                "{wanted} {force:?}"
            );
        }
        // Another name is left, so the container loses nothing.
        let two = vec![image('a', &["x:1", "x:2"])];
        assert_eq!(removed(two, &stopped, "x:1", no).as_deref(), Ok("-x:1"));
        // Somebody else's container is no obstacle.
        assert_eq!(
            removed(one(), &[user('b', true)], "x:1", no).as_deref(),
            Ok("-x:1 -a")
        );
    }

    #[test]
    fn children_stand_against_removal_and_nameless_parents_go_with_the_last_child() {
        let family = || {
            let (base, mut middle, mut top) =
                (image('a', &["base:1"]), image('b', &[]), image('c', &["top:1"]));
            middle.parent = Some(base.id.clone());
            top.parent = Some(middle.id.clone());
            vec![base, middle, top]
        };
        let with_children =
            "conflict: unable to delete aaaaaaaaaaaa (cannot be forced) - image has dependent child images";
        assert_eq!(
            removed(family(), &[], "aaaa", Force::Yes).as_deref(),
            Err(&with_children.to_owned())
        );
        // By name, only the name goes.
        assert_eq!(
            removed(family(), &[], "base:1", Force::No).as_deref(),
            Ok("-base:1")
        );
        // The nameless middle goes with the top; the base has a name.
        assert_eq!(
            removed(family(), &[], "top:1", Force::No).as_deref(),
            Ok("-top:1 -c -b")
        );
        assert_eq!(
            removed(family(), &[user('b', false)], "top:1", Force::No).as_deref(),
            Ok("-top:1 -c")
        );
        let state = State::of(family());
        let kept = state
            .plan_removal("top:1", Force::No, Children::Keep, &[])
            .unwrap();
        assert_eq!(kept.change.gone, [id('c')]);
    }

    #[test]
    fn digests_of_a_repository_go_with_its_last_tag() {
        let digest = format!("x@sha256:{}", "d".repeat(64));
        let images = || {
            let mut one = image('a', &["x:1", "y:1"]);
            one.digests = vec![digest.clone()];
            vec![one]
        };
        assert_eq!(
            removed(images(), &[], "x:1", Force::No),
            Ok(format!("-x:1 -{digest}"))
        );
        assert_eq!(removed(images(), &[], "y:1", Force::No).as_deref(), Ok("-y:1"));
        let mut single = image('a', &["x:1"]);
        single.digests = vec![digest.clone()];
        assert_eq!(
            removed(vec![single], &[], "aaaa", Force::No),
            Ok(format!("-x:1 -{digest} -a"))
        );
    }
}
