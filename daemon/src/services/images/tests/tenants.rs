//! What tenants share and do not: layers lie on disk once, and nobody gets another's by naming them.

use super::fake::{SavedImage, save};
use super::pulls::{blob_of, wish};
use super::registry::FakeRegistry;
use super::{World, layer, run};
use crate::kernel::housekeeping_of;
use crate::services::images::chain;

#[test]
fn a_layer_is_another_tenants_until_its_bytes_are_shown() {
    run(async {
        let world = World::new().await;
        let (red, blue) = (housekeeping_of("red").unwrap(), housekeeping_of("blue").unwrap());
        let secret = layer("secret");
        let honest = save(&[SavedImage::new(&[&secret], &["x:1"])]);
        assert_eq!(world.load_by(&red, &honest).await, ["Loaded image: x:1\n"]);
        let digest = chain::digest_of(&secret);
        let other = layer("other");
        let claim = SavedImage::new(&[&other], &["mine:1"]).with_diff_ids(&[&digest]);
        let refusal = format!(
            "error: invalid diffID for layer 0: expected \"{digest}\", got \"{}\"",
            chain::digest_of(&other)
        );
        assert_eq!(world.load_by(&blue, &save(&[claim])).await, [refusal]);
        assert!(world.images.all(&blue).await.unwrap().is_empty());
        // Who has the bytes has the layer, and it is not made twice.
        assert_eq!(world.load_by(&blue, &honest).await, ["Loaded image: x:1\n"]);
        assert_eq!(world.host.lock().extractions, 1);
        let both = [&red, &blue].map(|by| world.images.find(by, "x:1"));
        for image in both {
            assert_eq!(image.await.unwrap().chain.len(), 1);
        }
        assert!(
            world
                .images
                .find(&housekeeping_of("green").unwrap(), "x:1")
                .await
                .is_err()
        );
    });
}

#[test]
fn what_one_tenant_pulled_another_asks_the_registry_for() {
    run(async {
        let (world, registry) = (World::new().await, FakeRegistry::start());
        let secret = layer("secret");
        registry.put("x", "1", &[&secret]);
        let blob = format!("/blobs/{}", blob_of(&secret));
        let name = format!("{}/x:1", registry.host());
        for (tenant, asked) in [("red", 1), ("red", 1), ("blue", 2), ("default", 3), ("green", 3)] {
            let by = housekeeping_of(tenant).unwrap();
            let mut lines = world.images.pull(&by, wish(&name)).await.unwrap();
            while let Some(line) = lines.recv().await {
                assert_eq!(line.error, "", "{tenant}");
            }
            assert!(world.images.find(&by, &name).await.is_ok(), "{tenant}");
            assert_eq!(registry.asked(&blob).len(), asked, "{tenant}");
        }
        assert_eq!(world.host.lock().extractions, 1);
    });
}
