//! Cellblock on a running FreeBSD, as its users have it: the programs in a guest, the docker command outside of it.
//!
//! `CELLBLOCK_GUEST=freebsd.img cargo test -p system-tests --test guest -- --nocapture` boots the image under QEMU, which takes a
//! minute, and prints a transcript. Without an image nothing is booted, and one line says so.

#![forbid(unsafe_code)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "what is not as expected fails the test"
)]

mod changes;
mod compose;
mod console;
mod images;
mod lacking;
mod life;
mod machine;
mod ports;
mod reach;
mod reboot;
mod sandboxes;
mod services;
mod sharing;
mod story;
mod volumes;

use machine::{Ingredients, Machine};
use story::Story;

/// One guest and one test: it takes longer to boot than to run.
#[test]
fn containers_run_on_freebsd_and_leave_nothing_behind() {
    let ingredients = match Ingredients::find() {
        Ok(ingredients) => ingredients,
        Err(why) => {
            return system_tests::skipped("containers_run_on_freebsd_and_leave_nothing_behind", &why);
        }
    };
    let mut story = Story::begin(Machine::boot(&ingredients));
    story.an_image_is_made_from_the_base_system();
    story.a_program_runs_with_its_own_name_exit_code_and_terminal();
    story.a_service_is_looked_into_stopped_killed_and_restarted();
    story.files_are_copied_in_and_out();
    story.containers_reach_each_other_and_the_outside();
    story.mounts_are_what_was_asked_for();
    volumes::are_datasets_with_what_was_asked_for(&mut story);
    volumes::are_shown_in_part_from_others_and_without_a_copy(&mut story);
    changes::are_seen_committed_and_exported(&mut story);
    images::are_built_saved_and_loaded(&mut story);
    life::a_paused_container_stands_still(&mut story);
    life::a_container_is_measured(&mut story);
    life::limits_bite(&mut story);
    services::health_is_asked_for(&mut story);
    services::an_end_is_what_the_policy_makes_of_it(&mut story);
    services::limits_are_set_and_changed(&mut story);
    services::logs_are_kept_as_asked_for(&mut story);
    ports::names_are_found_on_a_user_network(&mut story);
    ports::published_ports_are_reached_from_everywhere(&mut story);
    sharing::a_network_is_shared_and_nothing_else(&mut story);
    compose::starts_each_service_when_what_it_needs_is_healthy(&mut story);
    reach::is_as_on_linux(&mut story);
    sandboxes::are_closed(&mut story);
    lacking::room_is_told_to_who_writes(&mut story);
    story.cycles_leave_nothing_behind();
    reboot::finds_everything_as_it_was(&mut story);
    lacking::a_pool_is_told_by_the_start(&mut story);
}
