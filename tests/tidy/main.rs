//! The house rules, checked over every file git knows or would take. Each rule is a function from a file to its
//! offences and is tested beside its definition with a sample that breaks it.

#![forbid(unsafe_code)]

mod documents;
mod manifests;
mod rust;

use system_tests::repository::{File, files};

/// Fails with one line for each offence in the repository.
fn check<F: Fn(&File) -> Vec<String>>(rule: F) {
    check_all(|files| files.iter().flat_map(&rule).collect());
}

fn check_all<F: Fn(&[File]) -> Vec<String>>(rule: F) {
    let files = files().unwrap_or_else(|why| panic!("{why}"));
    let offences = rule(&files);
    assert!(offences.is_empty(), "\n{}\n", offences.join("\n"));
}

#[test]
fn unsafe_code_stands_only_in_sys_files() {
    check(rust::unsafe_outside_sys);
}

#[test]
fn a_crate_without_sys_files_forbids_unsafe_code() {
    check_all(rust::crates_that_do_not_forbid_unsafe);
}

#[test]
fn no_file_is_longer_than_600_lines() {
    check(documents::too_long);
}

#[test]
fn no_function_is_longer_than_70_lines() {
    check(rust::long_functions);
}

#[test]
fn only_command_line_programs_print() {
    check(rust::prints);
}

#[test]
fn nothing_is_left_unfinished() {
    check(rust::unfinished);
    check(documents::reminders);
}

#[test]
fn every_possible_panic_carries_its_proof() {
    check(rust::unproven_panics);
}

#[test]
fn no_test_is_ignored() {
    check(rust::ignored_tests);
}

#[test]
fn do_send_stands_only_in_the_bus() {
    check(rust::do_send_outside_the_bus);
}

#[test]
fn actix_stays_in_the_shells_of_the_services() {
    check(rust::actix_outside_actors);
}

#[test]
fn bincode_is_named_only_by_the_codec() {
    check(rust::bincode_outside_the_codec);
}

#[test]
fn only_the_choice_of_a_host_module_asks_for_the_host() {
    check(rust::host_conditions);
}

#[test]
fn every_limit_says_its_reason() {
    check(rust::undocumented_limits);
}

#[test]
fn no_module_has_a_name_that_says_nothing() {
    check(rust::empty_names);
}

#[test]
fn versions_and_lints_come_from_the_root_manifest() {
    check(manifests::own_versions_or_lints);
}

#[test]
fn helpers_depend_only_on_the_listed_crates() {
    check(manifests::unlisted_helper_dependencies);
}

#[test]
fn links_between_documents_resolve() {
    check_all(documents::broken_links);
}
