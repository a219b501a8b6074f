//! The files of one configuration as they are read: the main one first, then what it includes.
//!
//! Reads nothing itself: whoever can read files hands in their texts and says what could not be read.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use toml::Spanned;

use super::file::{self, Field, File, Scalar};
use super::finding::{ConfigError, Findings};
use super::include::{Include, has_wildcard};
use super::outside::{HostView, IP_VS, Questions, module_of};
use super::range::{MAX_ADDRESSES, Range};
use super::report::{Draft, Place, Report, Source};
use super::{Config, check, syntax, unknown};

/// The files of one configuration, and what is wrong with them so far.
#[derive(Debug, Default)]
pub struct Sources {
    texts: Vec<Source>,
    files: Vec<File>,
    report: Report,
}

/// A configuration that was accepted, and what will surprise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checked {
    /// The configuration.
    pub config: Config,
    /// Warnings only.
    pub findings: Findings,
}

/// Checks a configuration of a single text, with nothing known of the host; `name` is how findings call it.
pub fn check_text(name: &str, text: &str) -> Result<Checked, ConfigError> {
    let mut sources = Sources::default();
    sources.add(Path::new(name), text);
    sources.check(&HostView::default())
}

impl Sources {
    /// Takes one file's text: the main file's first, then those it includes.
    pub fn add(&mut self, path: &Path, text: &str) {
        let number = self.texts.len();
        let mut keys = Vec::new();
        let file = unknown::parse(text, &mut keys).unwrap_or_else(|error| {
            self.report.error(syntax::draft(number, text, &error));
            File::default()
        });
        for key in &keys {
            self.report.error(syntax::unknown_key(number, key));
        }
        self.texts.push(Source { path: path.to_owned(), text: text.into() });
        self.files.push(file);
    }

    /// The files as they were read, the main one first.
    pub fn texts(&self) -> impl Iterator<Item = (&Path, &str)> {
        self.texts.iter().map(|source| (&*source.path, &*source.text))
    }

    /// What the main file includes, in its order.
    pub fn includes(&mut self) -> Vec<Include> {
        let Some(list) = self.files.first().and_then(|main| main.include.as_ref()) else {
            return Vec::new();
        };
        let main = self.texts.first().map(|source| source.path.clone()).unwrap_or_default();
        let mut includes = Vec::new();
        for entry in list.get_ref() {
            match include(&main, entry) {
                Ok(include) => includes.push(include),
                Err(draft) => self.report.error(draft),
            }
        }
        includes
    }

    /// Records that an included file cannot be had, and why.
    pub fn refuse(&mut self, include: &Include, why: &str, help: &str) {
        self.report.error(Draft::new(why).at(include.place, "included here").help(help));
    }

    /// Records that a pattern stands for no file at all.
    pub fn matches_nothing(&mut self, include: &Include) {
        let pattern = include.directory.join(&*include.name);
        let draft = Draft::new(format!("no file is named {}", pattern.display()))
            .at(include.place, "includes nothing");
        self.report.warning(draft);
    }

    /// What has to be found out about the host before [`Self::check`].
    pub fn questions(&self) -> Questions {
        let mut questions = Questions::default();
        for (number, file) in self.files.iter().enumerate() {
            let defaults = file.defaults.iter().map(|defaults| &defaults.get_ref().0.postgres.0);
            let own = file.pool.iter().filter_map(|pool| pool.get_ref().0.postgres.as_ref());
            for postgres in defaults.chain(own.map(|postgres| &postgres.get_ref().0)) {
                let path = text(&postgres.password_file);
                questions.password_files.extend(path.and_then(|path| self.beside(number, path)));
                let source =
                    text(&postgres.source).and_then(|source| source.parse::<IpAddr>().ok());
                questions.addresses.extend(source);
            }
            let service = file.service.iter().map(|service| &service.get_ref().0);
            service.for_each(|service| ask_for_service(service, &mut questions));
            let defaults = file.defaults.iter().map(|defaults| &defaults.get_ref().0.service.0);
            for service in defaults {
                let scheduler = text(&service.scheduler).map(|name| module_of(name).into());
                questions.modules.extend(scheduler);
                questions.addresses.extend(address_of(&service.source_nat));
            }
            let interfaces = file.sync_daemon.iter().map(|it| &it.get_ref().0.interface);
            questions.interfaces.extend(interfaces.filter_map(text).map(Into::into));
        }
        if !questions.modules.is_empty() {
            questions.modules.insert(IP_VS.into());
        }
        questions
    }

    /// Everything that is wrong at once, or the configuration and what will surprise.
    pub fn check(mut self, host: &HostView) -> Result<Checked, ConfigError> {
        // What a file that could not be read would have said is unknown: no findings about its absence.
        let config = if self.report.errors() == 0 {
            let mut report = std::mem::take(&mut self.report);
            let config = check::check(&self, host, &mut report);
            self.report = report;
            config
        } else {
            None
        };
        let findings = self.report.finish(&self.texts);
        match config {
            Some(config) if findings.errors == 0 => Ok(Checked { config, findings }),
            _ => Err(ConfigError(findings)),
        }
    }

    /// The files in their order, each with its number.
    pub(super) fn files(&self) -> impl Iterator<Item = (usize, &File)> {
        self.files.iter().enumerate()
    }

    /// The main file.
    pub(super) fn main(&self) -> Option<&File> {
        self.files.first()
    }

    /// A path as written in file `number`, as seen from the working directory; `None` if it cannot be one.
    pub(super) fn beside(&self, number: usize, path: &str) -> Option<PathBuf> {
        if path.is_empty() || path.contains(char::is_control) {
            return None;
        }
        let source = self.texts.get(number)?;
        Some(source.path.parent().unwrap_or(Path::new("")).join(path))
    }
}

/// Its addresses, and the modules that its scheduler and persistence engine are.
fn ask_for_service(service: &file::Service, questions: &mut Questions) {
    let addresses: Vec<&str> = match service.address.as_ref().map(Spanned::get_ref) {
        Some(Scalar::List(list)) => {
            list.iter().filter_map(|address| scalar_text(address.get_ref())).collect()
        }
        one => one.and_then(scalar_text).into_iter().collect(),
    };
    for range in addresses.into_iter().filter_map(|address| Range::parse(address).ok()) {
        let addresses = range.addresses().take(MAX_ADDRESSES);
        questions.addresses.extend(addresses.map(|address| address.ip()));
    }
    for command in [&service.quorum_up, &service.quorum_down] {
        let Some(Scalar::List(words)) = command.as_ref().map(Spanned::get_ref) else { continue };
        let program = words.first().and_then(|word| scalar_text(word.get_ref()));
        questions.programs.extend(program.map(Into::into));
    }
    questions.addresses.extend(address_of(&service.source_nat));
    let scheduler = text(&service.scheduler).unwrap_or("wlc");
    questions.modules.insert(module_of(scheduler).into());
    let engine = text(&service.pe).map(|engine| format!("ip_vs_pe_{engine}").into());
    questions.modules.extend(engine);
}

fn address_of(field: &Field) -> Option<IpAddr> {
    text(field)?.parse().ok()
}

fn text(field: &Field) -> Option<&str> {
    field.as_ref().and_then(|field| scalar_text(field.get_ref()))
}

fn scalar_text(scalar: &Scalar) -> Option<&str> {
    match scalar {
        Scalar::Text(text) => Some(text),
        Scalar::Integer(_) | Scalar::Boolean(_) | Scalar::List(_) | Scalar::Other(_) => None,
    }
}

/// One entry of `include`, relative to the directory of the main file.
fn include(main: &Path, entry: &Spanned<Scalar>) -> Result<Include, Draft> {
    let place = Place::new(0, entry.span());
    let refused = |why: &str| {
        Err(Draft::new(why)
            .at(place, "cannot be included")
            .help("write a path like \"conf.d/*.toml\", relative to this file"))
    };
    let Scalar::Text(pattern) = entry.get_ref() else {
        return refused("an include is a path in quotes");
    };
    if pattern.is_empty() || pattern.contains(char::is_control) || pattern.ends_with('/') {
        return refused("an include names files");
    }
    let path = Path::new(&**pattern);
    let directory = path.parent().unwrap_or(Path::new(""));
    let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
        return refused("an include names files");
    };
    if has_wildcard(&directory.to_string_lossy()) {
        return refused("`*` and `?` stand for files of one directory, not for directories");
    }
    Ok(Include {
        directory: main.parent().unwrap_or(Path::new("")).join(directory),
        name: name.into(),
        place,
    })
}
