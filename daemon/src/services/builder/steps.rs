//! A build from its upload to its names: stage by stage, step by step.

use super::arguments::Arguments;
use super::cache::Step;
use super::cache_from::{Reuse, Sources};
use super::context::Tree;
use super::dockerfile::{self, Action, Command, Dockerfile, Stage};
use super::layer::Layer;
use super::output::{Output, short};
use super::place::{Found, Place};
use super::plan::{Comment, Plan, expand_with};
use super::pull::{self, When};
use super::{BuildError, Deps, blocking, fetch, refuse, run};
use crate::kernel::limits::DOCKERFILE_BYTES_MAX;
use crate::services::Failure;
use crate::services::containers::RemoveHow;
use crate::services::images::Base;
use crate::services::images::{Image, Spool};
use docker_api::build_image::BuildQuery;
use docker_api::image_config::{ImageConfig, Platform};
use docker_api::reference::Reference;
use protocol::Principal;
use std::path::Path;
use std::sync::Arc;

/// The file that says what to do, unless the request names another.
const DOCKERFILE: &str = "Dockerfile";

/// The image that is none.
const SCRATCH: &str = "scratch";

/// Builds; tells the client how it went.
///
/// # Errors
/// The reason, where no line was sent yet.
pub(super) async fn build(
    deps: Arc<Deps>,
    by: Principal,
    query: BuildQuery,
    registries: String,
    upload: Spool,
    mut output: Output,
) -> Result<(), Failure> {
    let built = begin(&deps, &by, &query, &registries, upload, &mut output).await;
    output.finish(built).await
}

async fn begin(
    deps: &Deps,
    by: &Principal,
    query: &BuildQuery,
    registries: &str,
    upload: Spool,
    output: &mut Output,
) -> Result<String, BuildError> {
    refuse::check(query, deps.settings.experimental)?;
    let host = deps.images.host_platforms();
    let platform = refuse::platform(&query.platform, &host)?;
    let names = refuse::names(&query.tags)?;
    let (directory, wanted) = (deps.spool_directory(), query.dockerfile.clone());
    let gone = output.gone();
    let upload = if query.remote.is_empty() {
        upload
    } else {
        tokio::select! {
            context = fetch::context(&query.remote, &directory) => context?,
            () = gone => return Err(BuildError::Cancelled),
        }
    };
    let (context, text) = blocking(move || read(upload, &directory, &wanted)).await?;
    let Dockerfile {
        escape,
        arguments,
        stages,
        warnings,
    } = dockerfile::parse(&text, &query.target, &query.labels)?;
    for warning in warnings {
        output.red(&format!("{warning}\n")).await?;
    }
    let steps = stages.iter().map(|stage| stage.steps.len() + 1).sum::<usize>() + arguments.len();
    let mut build = Build {
        deps,
        by,
        query,
        registries,
        output,
        context: Arc::new(context),
        host,
        platform,
        escape,
        arguments: Arguments::new(query.build_args.clone()),
        stages: Vec::new(),
        containers: Vec::new(),
        sources: Sources::of(&deps.images, by, &query.cache_from).await,
        step: 0,
        steps,
    };
    build.global_arguments(&arguments).await?;
    let (mut last, mut base) = (None, None);
    for stage in stages {
        [last, base] = build.stage(stage).await?;
    }
    build.warn_of_unused_arguments().await?;
    let nothing = || Failure::System("No image was generated. Is your Dockerfile empty?".to_owned());
    let mut image = last.ok_or_else(nothing)?;
    if query.squash {
        image = build.squashed(&image, base.as_deref()).await?;
    }
    build.finish(&image, &names).await?;
    Ok(image.id.clone())
}

/// The context, and the Dockerfile in it. Blocks.
fn read(upload: Spool, directory: &Path, wanted: &str) -> Result<(Tree, String), BuildError> {
    let mut context = Tree::of_upload(upload, directory)?;
    let wanted = if wanted.is_empty() { DOCKERFILE } else { wanted };
    let lower = wanted.to_ascii_lowercase();
    // dockerd looks for the default name in lower case too.
    let names = if wanted == DOCKERFILE {
        vec![wanted, &lower]
    } else {
        vec![wanted]
    };
    for name in names {
        if let Some(bytes) = context.read(name, DOCKERFILE_BYTES_MAX)? {
            if bytes.is_empty() {
                return Err(BuildError::invalid(format!(
                    "the Dockerfile ({name}) cannot be empty"
                )));
            }
            context.apply_ignore_file(name)?;
            return Ok((context, String::from_utf8_lossy(&bytes).into_owned()));
        }
    }
    Err(BuildError::from(Failure::System(format!(
        "Cannot locate specified Dockerfile: {wanted}"
    ))))
}

/// A build under way.
pub(super) struct Build<'a> {
    pub(super) deps: &'a Deps,
    pub(super) by: &'a Principal,
    query: &'a BuildQuery,
    registries: &'a str,
    pub(super) output: &'a mut Output,
    pub(super) context: Arc<Tree>,
    /// What this host runs, best first.
    host: Vec<Platform>,
    /// What the request asks for.
    platform: Option<Platform>,
    pub(super) escape: char,
    /// Of the lines before the first stage.
    arguments: Arguments,
    /// Stages that are done: their names and images.
    pub(super) stages: Vec<(String, Option<Arc<Image>>)>,
    /// Containers of the step under way.
    containers: Vec<String>,
    /// Where steps are looked for that were done before.
    sources: Sources,
    step: usize,
    steps: usize,
}

/// A stage under way.
pub(super) struct Current {
    pub(super) plan: Plan,
    image: Option<Arc<Image>>,
    /// For what has no image below.
    platform: Platform,
    /// A step was not found among the images, so later ones are not looked for, as in dockerd.
    is_cache_over: bool,
    /// Where they are looked for; fewer once a part of one was taken.
    sources: Sources,
}

impl Current {
    fn chain(&self) -> &[String] {
        self.image.as_ref().map_or(&[], |image| &image.chain)
    }
}

impl Build<'_> {
    async fn announce(&mut self, text: &str) -> Result<(), BuildError> {
        self.output.check()?;
        self.step += 1;
        self.output.step(self.step, self.steps, text).await
    }

    async fn global_arguments(&mut self, steps: &[dockerfile::Step]) -> Result<(), BuildError> {
        for step in steps {
            self.announce(&step.text).await?;
            let Action::Arg(words) = &step.action else {
                continue;
            };
            let values = self.arguments.beside(&[]);
            for word in words {
                let (name, default) = word
                    .split_once('=')
                    .map_or((word.as_str(), None), |(n, d)| (n, Some(d)));
                let default = default
                    .map(|text| expand_with(text, self.escape, &values))
                    .transpose()?;
                self.arguments.declare_global(name, default);
            }
        }
        Ok(())
    }

    /// Gives the stage's image, and the one that it began with.
    async fn stage(&mut self, stage: Stage) -> Result<[Option<Arc<Image>>; 2], BuildError> {
        if !stage.name.is_empty() && self.stages.iter().any(|(name, _)| *name == stage.name) {
            let text = format!("{} stage name already used", stage.name);
            return Err(BuildError::from(Failure::System(text)));
        }
        self.announce(&stage.text).await?;
        let (mut current, triggers) = self.from(&stage).await?;
        let base = current.image.clone();
        self.triggers(&mut current, &triggers).await?;
        self.arrow(&current).await?;
        for step in &stage.steps {
            self.announce(&step.text).await?;
            self.take(&mut current, &step.action).await?;
            self.arrow(&current).await?;
        }
        if let Some(image) = &current.image {
            self.output.image(&image.id).await?;
        }
        self.arguments.join_used(&current.plan.arguments);
        self.stages.push((stage.name, current.image.clone()));
        Ok([current.image, base])
    }

    async fn arrow(&mut self, current: &Current) -> Result<(), BuildError> {
        let id = current.image.as_ref().map_or("", |image| short(&image.id));
        self.output.arrow(id).await
    }

    /// `FROM`.
    async fn from(&mut self, stage: &Stage) -> Result<(Current, Vec<String>), BuildError> {
        let values = self.arguments.of_from();
        let platform = expand_with(&stage.platform, self.escape, &values)?;
        let platform = refuse::platform(&platform, &self.host)
            .map_err(|error| error.within(&format!("failed to parse platform {platform}")))?
            .or_else(|| self.platform.clone());
        let base = expand_with(&stage.base, self.escape, &values)?;
        if base.is_empty() {
            let text = format!("base name ({}) should not be blank", stage.base);
            return Err(BuildError::from(Failure::System(text)));
        }
        let lower = base.to_ascii_lowercase();
        let image = match self
            .stages
            .iter()
            .find(|(name, _)| !name.is_empty() && *name == lower)
        {
            Some((_, image)) => image.clone(),
            None if base == SCRATCH => None,
            None => Some(self.image(&base, platform.as_ref()).await?),
        };
        if let (Some(image), Some(wanted)) = (&image, &platform)
            && !image.fits(wanted)
        {
            let wanted = format!("{}/{}", wanted.os, wanted.architecture);
            let text = format!(
                "image with reference {base} was found but does not provide the specified platform ({wanted})"
            );
            return Err(BuildError::from(Failure::NotFound(text)));
        }
        let config = image
            .as_ref()
            .map_or_else(ImageConfig::default, |image| image.config.config.clone());
        let (plan, triggers) = Plan::begin(config, self.arguments.for_stage(), self.escape);
        let platform = platform
            .or_else(|| self.host.first().cloned())
            .unwrap_or_default();
        Ok((
            Current {
                plan,
                image,
                platform,
                is_cache_over: self.query.no_cache,
                sources: self.sources.clone(),
            },
            triggers,
        ))
    }

    async fn triggers(&mut self, current: &mut Current, triggers: &[String]) -> Result<(), BuildError> {
        if triggers.is_empty() {
            return Ok(());
        }
        self.output.triggers(triggers.len()).await?;
        for trigger in triggers {
            self.output.check()?;
            let step = dockerfile::trigger(trigger, self.escape)?;
            self.take(current, &step.action).await?;
        }
        Ok(())
    }

    /// One step, and the end of its containers.
    async fn take(&mut self, current: &mut Current, action: &Action) -> Result<(), BuildError> {
        let result = self.act(current, action).await;
        let removes = self.query.force_remove || (self.query.remove && result.is_ok());
        for id in std::mem::take(&mut self.containers) {
            if removes {
                let how = RemoveHow {
                    force: true,
                    volumes: true,
                };
                self.deps.containers.remove(self.by, &id, how).await?;
                self.output
                    .text(&format!(" ---> Removed intermediate container {}\n", short(&id)))
                    .await?;
            }
        }
        result
    }

    async fn act(&mut self, current: &mut Current, action: &Action) -> Result<(), BuildError> {
        let comment = match action {
            Action::Transfer(transfer) => return self.transfer(current, transfer).await,
            Action::Run(command) => return self.run(current, command).await,
            Action::Change(instruction) => {
                if instruction.name() == "HEALTHCHECK" {
                    self.note_health_check(current).await?;
                }
                let comment = current.plan.change(instruction)?;
                if instruction.name() == "WORKDIR" {
                    return self.working_directory(current, comment).await;
                }
                comment
            }
            Action::Label { name, value } => current.plan.label(name, value),
            Action::Arg(words) => current.plan.argument(words)?,
            Action::Maintainer(name) => current.plan.maintainer(name),
            Action::Shell(shell) => current.plan.shell(shell),
        };
        let created_by = comment.created_by();
        if self.is_done(current, &created_by).await? {
            return Ok(());
        }
        self.container(current, comment.command, None).await?;
        self.commit(current, &created_by, None).await
    }

    async fn note_health_check(&mut self, current: &Current) -> Result<(), BuildError> {
        let before = current
            .plan
            .config()
            .healthcheck
            .as_ref()
            .and_then(|health| health.test.clone());
        match before.filter(|test| test.first().is_some_and(|kind| kind != "NONE")) {
            Some(test) => {
                let text = format!("Note: overriding previous HEALTHCHECK: [{}]\n", test.join(" "));
                self.output.text(&text).await
            }
            None => Ok(()),
        }
    }

    /// Looks for the step among the images; what is found is the image so far.
    pub(super) async fn is_done(
        &mut self,
        current: &mut Current,
        created_by: &str,
    ) -> Result<bool, BuildError> {
        if current.is_cache_over {
            return Ok(false);
        }
        let images = &self.deps.images;
        let mut sources = std::mem::take(&mut current.sources);
        let found = sources.reuse(&step(current, created_by), &images.all(self.by).await?);
        current.sources = sources;
        let below = current.image.as_deref();
        let image = match found {
            Some(Reuse::Whole(image)) => image,
            Some(Reuse::Last(image)) => match below {
                Some(below) => images.adopt(self.by, &image.id, &below.id).await?,
                None => image,
            },
            Some(Reuse::Part { file, chain }) => images.create(self.by, *file, &chain, below, &[]).await?,
            None => {
                current.is_cache_over = true;
                return Ok(false);
            }
        };
        self.output.arrow("Using cache").await?;
        current.image = Some(image);
        Ok(true)
    }

    /// The image with all of its steps in one layer.
    async fn squashed(&mut self, image: &Image, base: Option<&Image>) -> Result<Arc<Image>, BuildError> {
        let (images, directory) = (&self.deps.images, self.deps.spool_directory());
        let squashed = images.squash(self.by, image, base, &directory).await;
        let image = squashed.map_err(|failure| failure.within("error squashing image"))?;
        self.output.image(&image.id).await?;
        Ok(image)
    }

    /// Makes the container of a step; gives its id. `runs` is the environment of one that will be run.
    async fn container(
        &mut self,
        current: &Current,
        command: Vec<String>,
        runs: Option<Vec<String>>,
    ) -> Result<String, BuildError> {
        let image = current.image.as_ref().map_or("", |image| &image.id);
        let request = run::request(self.query, image, current.plan.config(), command, runs);
        let (id, warnings) = self.deps.containers.create(self.by, None, request).await?;
        self.containers.push(id.clone());
        for warning in warnings {
            self.output.arrow(&format!("[Warning] {warning}")).await?;
        }
        self.output.arrow(&format!("Running in {}", short(&id))).await?;
        Ok(id)
    }

    /// Makes the image of a step, with a new layer if it made one.
    pub(super) async fn commit(
        &mut self,
        current: &mut Current,
        created_by: &str,
        layer: Option<Spool>,
    ) -> Result<(), BuildError> {
        let mut chain = current.chain().to_vec();
        let layer = match layer {
            Some(spool) => Some(self.deps.images.add_layer(self.by, &chain, spool.path()).await?),
            None => None,
        };
        chain.extend(layer.as_ref().map(|layer| layer.chain_id.clone()));
        let file = step(current, created_by).file(layer.as_ref());
        let image = self
            .deps
            .images
            .create(self.by, file, &chain, current.image.as_deref(), &[])
            .await?;
        current.image = Some(image);
        Ok(())
    }

    /// The tree of the image so far.
    pub(super) async fn base(&self, current: &Current) -> Result<Base, BuildError> {
        Ok(self.deps.images.tree(self.by, current.chain()).await?)
    }

    /// `WORKDIR`: the directory is made where it is missing.
    async fn working_directory(&mut self, current: &mut Current, comment: Comment) -> Result<(), BuildError> {
        let created_by = comment.created_by();
        if self.is_done(current, &created_by).await? {
            return Ok(());
        }
        let path = current.plan.config().working_dir.clone();
        let base = self.base(current).await?;
        let place = Place::find(&base, path.trim_start_matches('/')).await?;
        base.close().await?;
        if place.found == Found::File {
            return Err(BuildError::from(Failure::System(format!(
                "Cannot mkdir: {path} is not a directory"
            ))));
        }
        self.container(current, comment.command, None).await?;
        let directory = self.deps.spool_directory();
        let layer = blocking(move || {
            let mut layer = Layer::create(&directory)?;
            for path in place.missing_with_itself() {
                layer.make_directory(&path, (0, 0))?;
            }
            layer.finish()
        });
        let layer = layer.await?;
        self.commit(current, &created_by, layer).await
    }

    async fn run(&mut self, current: &mut Current, command: &Command) -> Result<(), BuildError> {
        let planned = current.plan.run(command)?;
        if self.is_done(current, &planned.created_by).await? {
            return Ok(());
        }
        let id = self
            .container(current, planned.command.clone(), Some(planned.env))
            .await?;
        let ended = run::to_its_end(self.deps, self.by, &id, &planned.command, self.output).await;
        if matches!(ended, Err(BuildError::Cancelled)) {
            // It is removed already.
            self.containers.retain(|known| *known != id);
        }
        ended?;
        let container = self.deps.containers.find(self.by, &id).await?.container;
        let base = self.base(current).await?;
        let layer = self
            .deps
            .containers
            .changed_layer(self.by, &container, &base)
            .await?;
        base.close().await?;
        self.commit(current, &planned.created_by, layer).await
    }

    pub(super) async fn image(
        &mut self,
        name: &str,
        platform: Option<&Platform>,
    ) -> Result<Arc<Image>, BuildError> {
        let when = if self.query.pull {
            When::Always
        } else {
            When::Missing
        };
        let wanted = (name, platform);
        pull::image(self.deps, self.by, self.output, wanted, when, self.registries).await
    }

    async fn warn_of_unused_arguments(&mut self) -> Result<(), BuildError> {
        let unused = self.arguments.unused();
        if unused.is_empty() {
            return Ok(());
        }
        let text = format!(
            "[Warning] One or more build-args [{}] were not consumed\n",
            unused.join(" ")
        );
        self.output.text(&text).await
    }

    async fn finish(&mut self, image: &Image, names: &[Reference]) -> Result<(), BuildError> {
        self.output
            .text(&format!("Successfully built {}\n", short(&image.id)))
            .await?;
        for name in names {
            self.deps.images.tag(self.by, &image.id, name).await?;
            self.output
                .text(&format!("Successfully tagged {}\n", name.familiar()))
                .await?;
        }
        Ok(())
    }
}

fn step<'a>(current: &'a Current, created_by: &'a str) -> Step<'a> {
    Step {
        parent: current.image.as_deref(),
        created_by,
        config: current.plan.config(),
        author: &current.plan.maintainer,
        platform: &current.platform,
    }
}
