//! What an image says of its containers is the same in three shapes: in the image, in a container, and in image inspect.

use crate::containers::ContainerConfig;
use crate::image_config::ImageConfig;
use crate::images::ImageInspectConfig;

/// The fields that all have, named once.
macro_rules! converts {
    ($($from:ident => $to:ident),*) => { $(
        impl From<$from> for $to {
            #[allow(clippy::needless_update, reason = "one of the three has no other fields")]
            fn from(config: $from) -> Self {
                Self {
                    user: config.user,
                    exposed_ports: config.exposed_ports,
                    env: config.env,
                    entrypoint: config.entrypoint,
                    cmd: config.cmd,
                    volumes: config.volumes,
                    working_dir: config.working_dir,
                    labels: config.labels,
                    stop_signal: config.stop_signal,
                    args_escaped: config.args_escaped,
                    healthcheck: config.healthcheck,
                    on_build: config.on_build,
                    shell: config.shell,
                    ..Self::default()
                }
            }
        }
    )* };
}

converts!(
    ImageConfig => ImageInspectConfig,
    ImageConfig => ContainerConfig,
    ContainerConfig => ImageConfig
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_gives_its_containers_everything_and_gets_it_back() {
        let json = r#"{"User":"u","ExposedPorts":{"1/tcp":{}},"Env":["A=1"],"Entrypoint":["e"],"Cmd":["c"],"Volumes":{"/v":{}},
            "WorkingDir":"/w","Labels":{"l":"1"},"StopSignal":"9","ArgsEscaped":true,"Healthcheck":{"Test":["NONE"]},
            "OnBuild":["RUN x"],"Shell":["s"]}"#;
        let image: ImageConfig = serde_json::from_str(json).unwrap();
        let fields = serde_json::to_value(&image).unwrap();
        assert_eq!(
            fields.as_object().unwrap().len(),
            13,
            "each field has a value here"
        );
        assert_eq!(ImageConfig::from(ContainerConfig::from(image.clone())), image);
        let shown = serde_json::to_value(ImageInspectConfig::from(image)).unwrap();
        for (name, value) in fields.as_object().unwrap() {
            assert_eq!(&shown[name], value, "{name}");
        }
    }
}
