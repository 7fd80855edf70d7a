//! One image of several.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use vouchsafe_model::ImageId;

use super::document::{BootItem, BootSection, EnrolledKeys, Enrolment, GoldenImage, RequiredDbx};
use crate::ima::RuntimeSection;

/// Why images cannot be merged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MergeConflict {
    /// There is nothing to merge.
    #[error("no image was given")]
    Nothing,
    /// Two images say different things of what can be only one.
    #[error("{field} differs: {one} in {first}, {other} in {second}")]
    Differs {
        /// The one image, or what was merged into it so far.
        first: Box<ImageId>,
        /// The other.
        second: Box<ImageId>,
        /// Of what.
        field: String,
        /// What the one says.
        one: String,
        /// What the other says.
        other: String,
    },
}

/// Merges images into one that allows what any of them allows: all values of a PCR, all digests of a path or image, all
/// command lines. Its name and time are those of the first, as are its age and overlap where the others have none.
///
/// What only one of them speaks of is kept: an image and the runtime section that was built for it are merged so.
/// What must be in force (`dbx`, `sbat_level`) is united as well, and so becomes stricter. What differs between hosts must not pass
/// unseen: a section's settings that contradict each other are a conflict.
///
/// # Errors
/// When there is no image, or settings differ.
pub fn merge(images: &[GoldenImage]) -> Result<GoldenImage, MergeConflict> {
    let (first, rest) = images.split_first().ok_or(MergeConflict::Nothing)?;
    rest.iter().try_fold(first.clone(), |merged, other| {
        let first_id = merged.id.clone();
        add(merged, other).map_err(|Difference { field, one, other: theirs }| MergeConflict::Differs {
            first: Box::new(first_id),
            second: Box::new(other.id.clone()),
            field,
            one,
            other: theirs,
        })
    })
}

/// A setting that can have one value only.
struct Difference {
    field: String,
    one: String,
    other: String,
}

fn add(mut merged: GoldenImage, other: &GoldenImage) -> Result<GoldenImage, Difference> {
    for (bank, values) in &other.pcrs {
        let bank = merged.pcrs.entry(*bank).or_default();
        for (pcr, values) in values {
            if merged.ignored_pcrs.contains(*pcr) {
                return Err(differs(&format!("PCR {pcr}"), "ignored", "held by value"));
            }
            bank.entry(*pcr).or_default().extend(values.iter().cloned());
        }
    }
    let held = merged.held_pcrs();
    if let Some(pcr) = other.ignored_pcrs.iter().find(|pcr| held.contains(*pcr)) {
        return Err(differs(&format!("PCR {pcr}"), "held by value", "ignored"));
    }
    merged.ignored_pcrs = merged.ignored_pcrs.iter().chain(other.ignored_pcrs.iter()).collect();
    merged.supersedes.extend(other.supersedes.iter().filter(|id| **id != merged.id).cloned());
    merged.overlap = either("overlap", merged.overlap, other.overlap)?;
    merged.max_age = either("max_age", merged.max_age, other.max_age)?;
    match (&mut merged.boot, &other.boot) {
        (Some(merged), Some(other)) => add_boot(merged, other)?,
        (merged @ None, Some(_)) => merged.clone_from(&other.boot),
        (_, None) => {}
    }
    match (&mut merged.runtime, &other.runtime) {
        (Some(merged), Some(other)) => add_runtime(merged, other),
        (merged @ None, Some(_)) => merged.clone_from(&other.runtime),
        (_, None) => {}
    }
    Ok(merged)
}

fn add_boot(merged: &mut BootSection, other: &BootSection) -> Result<(), Difference> {
    same("boot.secure_boot", &merged.secure_boot, &other.secure_boot)?;
    same("boot.ordered", &merged.ordered, &other.ordered)?;
    merged.accept.extend(&other.accept);
    if let Some(lines) = union_of(&mut merged.command_lines, other.command_lines.as_ref()) {
        let new: Vec<_> = lines.iter().filter(|line| !is_in(merged.command_lines.as_ref(), line)).cloned().collect();
        merged.command_lines.iter_mut().for_each(|lines| lines.extend(new.iter().cloned()));
    }
    for (name, merged, other) in [
        ("image", &mut merged.images, &other.images),
        ("option_rom", &mut merged.option_roms, &other.option_roms),
        ("file", &mut merged.files, &other.files),
        ("initrd", &mut merged.initrds, &other.initrds),
    ] {
        if let (Some(items), Some(merged)) = (union_of(merged, other.as_ref()), merged.as_mut()) {
            items.iter().try_for_each(|item| add_item(name, merged, item))?;
        }
    }
    add_keys(&mut merged.keys, &other.keys);
    match (&mut merged.dbx, &other.dbx) {
        (Some(merged), Some(other)) => add_dbx(merged, other),
        (merged @ None, Some(_)) => merged.clone_from(&other.dbx),
        (_, None) => {}
    }
    if let Some(level) = &other.sbat_level {
        merged.sbat_level.get_or_insert_default().raise(level);
    }
    Ok(())
}

/// What is to be added to a list: nothing when the other has none; when there was none before, the other's is taken whole.
fn union_of<'a, T: Clone>(merged: &mut Option<Vec<T>>, other: Option<&'a Vec<T>>) -> Option<&'a Vec<T>> {
    let other = other?;
    if merged.is_none() {
        *merged = Some(other.clone());
        return None;
    }
    Some(other)
}

fn is_in<T: PartialEq>(list: Option<&Vec<T>>, item: &T) -> bool {
    list.is_some_and(|list| list.contains(item))
}

fn add_item(list: &str, merged: &mut Vec<BootItem>, item: &BootItem) -> Result<(), Difference> {
    let Some(known) = merged.iter_mut().find(|known| known.name == item.name) else {
        merged.push(item.clone());
        return Ok(());
    };
    same(&format!("boot.{list} '{}', required", item.name), &known.required, &item.required)?;
    known.signers.extend(item.signers.iter().cloned());
    for (algorithm, digests) in &item.digests {
        known.digests.entry(*algorithm).or_default().extend(digests.iter().cloned());
    }
    Ok(())
}

fn add_keys(merged: &mut EnrolledKeys, other: &EnrolledKeys) {
    let add = |merged: &mut Option<Enrolment>, other: &Option<Enrolment>| match (merged.as_mut(), other) {
        (Some(merged), Some(other)) => merged.extend(other.iter().map(|(key, subject)| (*key, subject.clone()))),
        (None, Some(_)) => merged.clone_from(other),
        (_, None) => {}
    };
    add(&mut merged.pk, &other.pk);
    add(&mut merged.kek, &other.kek);
    add(&mut merged.db, &other.db);
    add(&mut merged.mok, &other.mok);
}

fn add_dbx(merged: &mut RequiredDbx, other: &RequiredDbx) {
    merged.images.extend(&other.images);
    merged.to_be_signed.extend(&other.to_be_signed);
    merged.certificates.extend(other.certificates.iter().map(|(digest, subject)| (*digest, subject.clone())));
}

fn add_runtime(merged: &mut RuntimeSection, other: &RuntimeSection) {
    for (merged, other) in [
        (&mut merged.keys, &other.keys),
        (&mut merged.keyring_keys, &other.keyring_keys),
        (&mut merged.exclude, &other.exclude),
        (&mut merged.rules, &other.rules),
    ] {
        let new: Vec<String> = other.iter().filter(|line| !merged.contains(line)).cloned().collect();
        merged.extend(new);
    }
    add_digests(&mut merged.digests, &other.digests);
}

fn add_digests(merged: &mut BTreeMap<String, Vec<String>>, other: &BTreeMap<String, Vec<String>>) {
    for (path, digests) in other {
        match merged.entry(path.clone()) {
            Entry::Vacant(entry) => drop(entry.insert(digests.clone())),
            Entry::Occupied(mut entry) => {
                let known = entry.get_mut();
                known.extend(digests.iter().cloned());
                known.sort();
                known.dedup();
            }
        }
    }
}

fn either<T: PartialEq + ToString>(field: &str, one: Option<T>, other: Option<T>) -> Result<Option<T>, Difference> {
    match (&one, &other) {
        (Some(a), Some(b)) if a != b => Err(differs(field, &a.to_string(), &b.to_string())),
        _ => Ok(one.or(other)),
    }
}

fn same<T: PartialEq + std::fmt::Debug>(field: &str, one: &T, other: &T) -> Result<(), Difference> {
    if one == other { Ok(()) } else { Err(differs(field, &format!("{one:?}"), &format!("{other:?}"))) }
}

fn differs(field: &str, one: &str, other: &str) -> Difference {
    Difference { field: field.to_owned(), one: one.to_owned(), other: other.to_owned() }
}
