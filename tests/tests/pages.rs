//! The project's pages: their links lead somewhere. (The README's Rust is a doctest of `user-ringbuf-linux`, its C a test in
//! `tests/peers`.)

use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Every page below a folder, but for what is built or hidden.
fn pages(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let (path, name) = (entry.path(), entry.file_name());
        let name = name.to_str().unwrap_or_default();
        if entry.file_type().unwrap().is_dir() {
            if !["target", "corpus", "artifacts"].contains(&name) && (!name.starts_with('.') || name == ".github") {
                pages(&path, found);
            }
        } else if name.ends_with(".md") {
            found.push(path);
        }
    }
}

/// The targets of a page's links, code left out.
fn links(text: &str) -> Vec<&str> {
    let prose = text.split("\n```").step_by(2);
    let targets = prose.flat_map(|part| part.split("](").skip(1).filter_map(|rest| rest.split_once(')')));
    targets.map(|(target, _)| target).collect()
}

/// What a heading is called in a link.
fn slug(heading: &str) -> String {
    let text = heading.trim_start_matches('#').trim().to_lowercase();
    text.chars().filter(|&c| c.is_alphanumeric() || " -_".contains(c)).map(|c| if c == ' ' { '-' } else { c }).collect()
}

#[test]
fn every_link_leads_to_a_file_and_a_heading() {
    let (mut found, mut checked, mut broken) = (Vec::new(), 0, Vec::new());
    pages(&root(), &mut found);
    for page in found {
        let text = std::fs::read_to_string(&page).unwrap();
        for link in links(&text).into_iter().filter(|link| !link.contains("://")) {
            checked += 1;
            let (file, heading) = link.split_once('#').unwrap_or((link, ""));
            // The README of the Linux crate is the project's: links start where the file is, not where it is linked from.
            let beside = page.canonicalize().unwrap();
            let target = if file.is_empty() { beside } else { beside.parent().unwrap().join(file) };
            let there = target.exists()
                && (heading.is_empty()
                    || std::fs::read_to_string(&target)
                        .is_ok_and(|text| text.lines().any(|line| line.starts_with('#') && slug(line) == heading)));
            if !there {
                broken.push(format!("{}: {link}", page.display()));
            }
        }
    }
    assert!(checked > 20, "only {checked} links were found");
    assert!(broken.is_empty(), "links that lead nowhere:\n{}", broken.join("\n"));
}
