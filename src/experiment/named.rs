//! What the experiment names: queries, templates, declared files, models' folders.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::Error;
use super::spanned::Spanned;
use super::toml_file::{File, Model};
use crate::stages::{Template, TemplateError, files_read, gguf_of, listed};

/// The files of a folder, or those that a query may read, by the names under which they are known.
pub(super) type Files = BTreeMap<String, PathBuf>;

impl File {
    /// Reads a query.
    pub(super) fn sql(&self, named: &Spanned<PathBuf>) -> Result<String, Error> {
        self.text.read(&self.find(named.as_ref()), &named.span())
    }

    /// Finds the files that a query may read, by the names it reads them by.
    pub(super) fn declared(&self, names: &[Spanned<String>]) -> Result<Files, Error> {
        let mut files = Files::new();
        for named in names {
            let path = self.find(Path::new(named.as_ref()));
            let found = path.canonicalize().map_err(|e| {
                self.text.error(&named.span(), format!("cannot read {}: {e}", path.display()))
            })?;
            files.insert(named.as_ref().clone(), found);
        }
        Ok(files)
    }

    /// Lists the folder of the model that the experiment begins with.
    pub(super) fn first_model(&self, model: &Spanned<Model>) -> Result<Files, Error> {
        let named = match (&model.as_ref().path, &model.as_ref().init) {
            (Some(path), None) => path,
            (None, Some(init)) if self.root.sft.is_some() => &init.path,
            (None, Some(_)) => {
                let message =
                    "random weights can say nothing yet: `[model.init]` needs `[sft]`".to_owned();
                return Err(self.text.error(&model.span(), message));
            }
            _ => {
                let message = "expected one of `path` and `init` in `[model]`".to_owned();
                return Err(self.text.error(&model.span(), message));
            }
        };
        self.model_folder(named)
    }

    /// Lists the files of a model's folder that are read, or its GGUF file; their digests stand for the model.
    pub(super) fn model_folder(&self, named: &Spanned<PathBuf>) -> Result<Files, Error> {
        let folder = self.find(named.as_ref());
        let failed = |why: String| self.text.error(&named.span(), why);
        let files = listed(&folder).map_err(|e| {
            let shown = folder.display();
            if folder.is_file() {
                failed(format!("expected a model folder or a GGUF file, {shown} is neither"))
            } else {
                failed(format!("cannot read the model folder {shown}: {e}"))
            }
        })?;
        if files.contains_key("config.json") || gguf_of(&files).is_some() {
            Ok(files_read(&files))
        } else {
            Err(failed(format!(
                "expected a model folder, found no config.json in {}",
                folder.display()
            )))
        }
    }

    /// Reads a template, or takes the built-in one.
    pub(super) fn template(
        &self,
        named: Option<&Spanned<PathBuf>>,
        default: &str,
        parse: fn(&str) -> Result<Template, TemplateError>,
    ) -> Result<Template, Error> {
        let Some(named) = named else {
            let at_fault = |error| format!("the built-in template: {error}");
            return parse(default).map_err(|error| self.text.error(&(0..0), at_fault(error)));
        };
        let path = self.find(named.as_ref());
        parse(&self.text.read(&path, &named.span())?).map_err(|error| {
            self.text.error(&named.span(), format!("template {}: {error}", path.display()))
        })
    }
}
