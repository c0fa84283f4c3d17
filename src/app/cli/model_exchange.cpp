// penstock model import, export, convert: models from files of several languages and from
// device-model repositories, and back.

#include <algorithm>
#include <filesystem>

#include <fmt/format.h>

#include "app/cli/models.h"
#include "app/cli/resources.h"
#include "app/repository_files.h"
#include "base/io.h"
#include "twin/exchange/exchange.h"
#include "twin/model_repository.h"

namespace penstock::app::cli {
namespace {

using twin::ModelFormat;

struct Import {
  std::vector<std::string> sources;  ///< files, folders; or DTMIs of a repository
  std::string from = "dtdl", id, repository;
  bool dry_run = false;
};

// Files, and all .json below folders, in order.
Result<std::vector<std::string>> files_below(const std::vector<std::string>& paths) {
  std::vector<std::string> files;
  for (const std::string& path : paths) {
    std::error_code error;
    if (!std::filesystem::exists(path, error))
      return fail(ErrorCode::kNotFound, "There is no such file or folder", path);
    if (!std::filesystem::is_directory(path, error)) {
      files.push_back(path);
      continue;
    }
    for (std::filesystem::recursive_directory_iterator entry(path, error), end;
         !error && entry != end; entry.increment(error))
      if (entry->path().extension() == ".json" || entry->path().extension() == ".jsonld")
        files.push_back(entry->path().string());
  }
  std::sort(files.begin(), files.end());
  if (files.empty())
    return fail(ErrorCode::kNotFound, "There is no .json file in these folders", paths.front());
  return files;
}

// Notes go to standard error: what is on standard output stays a document.
void tell(const std::string& file, const std::vector<twin::ConversionNote>& notes) {
  for (const auto& note : notes)
    fmt::print(stderr, "{}: {}: {}\n", file, note.at.empty() ? "document" : note.at, note.text);
}

Result<twin::Imported> read_foreign(ModelFormat format, const Json& document,
                                    const std::string& id) {
  twin::ImportOptions options;
  options.id = id;
  return format == ModelFormat::kWot ? twin::from_wot(document, options)
                                     : twin::from_aas(document, options);
}

// All files as one array of DTDL interfaces: they may refer to each other.
Result<Json> read_documents(const Import& o) {
  TRY_ASSIGN(const ModelFormat format, twin::parse_model_format(o.from));
  TRY_ASSIGN(const auto files, files_below(o.sources));
  if (!o.id.empty() && files.size() != 1)
    return fail(ErrorCode::kInvalidArgument, "--id is for one file");
  Json out = Json::array();
  for (const std::string& file : files) {
    TRY_ASSIGN(Json document, read_json_file(file));
    if (format != ModelFormat::kDtdl) {
      auto read = read_foreign(format, document, o.id);
      if (!read) return fail(read.error().code, read.error().message, file);
      tell(file, read->notes);
      document = read->documents();
    }
    if (document.is_array())
      out.insert(out.end(), document.begin(), document.end());
    else
      out.push_back(std::move(document));
  }
  return out;
}

Result<Json> read_repository(const Import& o) {
  TRY_ASSIGN(const auto files, repository_files(o.repository));
  TRY_ASSIGN(const auto fetched, twin::fetch_models(o.sources, files, system_clock()));
  Json out = Json::array();
  for (const auto& document : fetched.documents) {
    TRY_ASSIGN(Json one, parse_json(document.text, 128));
    out.push_back(std::move(one));
  }
  for (const std::string& file : fetched.files) fmt::print(stderr, "read {}\n", file);
  return out;
}

Status run_import(const Import& o, HttpClient& http, const Remote& remote) {
  if (!o.repository.empty() && o.from != "dtdl")
    return fail(ErrorCode::kInvalidArgument, "A repository holds DTDL: leave out --from");
  TRY_ASSIGN(const Json documents, o.repository.empty() ? read_documents(o) : read_repository(o));
  if (o.dry_run) {
    fmt::print("{}\n", documents.dump(2));
    return {};
  }
  TRY_ASSIGN(const Json made, http.post("/api/v1/models", documents));
  print_items(made.at("items"),
              {{"model", "id"},
               {"display name", "display_name"},
               {"elements", "elements"},
               {"commands", "commands"},
               {"twins", "twins"}},
              remote.json);
  return {};
}

struct Export {
  std::string dtmi, to = "dtdl", output;
};

Status write_output(const std::string& output, const Json& document) {
  const std::string text = document.dump(2) + "\n";
  if (output.empty()) {
    fmt::print("{}", text);
    return {};
  }
  std::FILE* file = std::fopen(output.c_str(), "wb");
  const bool written = file && std::fwrite(text.data(), 1, text.size(), file) == text.size();
  const bool closed = file && std::fclose(file) == 0;
  if (!written || !closed) return fail(ErrorCode::kIo, "The file cannot be written", output);
  return {};
}

Status run_export(const Export& o, HttpClient& http, const Remote& remote) {
  TRY(twin::parse_model_format(o.to));
  std::string path = api_path({"models", o.dtmi, "export"});
  add_query(path, "format", o.to);
  TRY_ASSIGN(const Json found, http.get(path));
  if (remote.json) {
    print_one(found, {}, true);
    return {};
  }
  std::vector<twin::ConversionNote> notes;
  for (const Json& note : found.at("notes")) notes.push_back({note.at("at"), note.at("text")});
  tell(o.dtmi, notes);
  return write_output(o.output, found.at("document"));
}

struct Conversion {
  std::vector<std::string> sources;
  std::string from, to = "dtdl", output;
};

// DTDL files to documents of the other language, one an interface.
Result<Json> write_foreign(ModelFormat to, const Json& documents, const std::string& about) {
  const std::string text = documents.dump();
  const std::vector<std::string_view> texts{text};
  const auto parsed = twin::dtdl::parse(texts);
  if (!parsed.errors.empty())
    return fail(ErrorCode::kInvalidArgument,
                parsed.errors.front().text() + " `penstock model check` shows where", about);
  Json out = Json::array();
  for (const Json& document : documents) {
    std::vector<twin::ConversionNote> notes;
    TRY_ASSIGN(const auto shape,
               twin::read_shape(parsed.model, document.value("@id", std::string()), notes));
    tell(shape.id, notes);
    auto made = to == ModelFormat::kWot ? twin::to_wot(shape) : twin::to_aas(shape);
    tell(shape.id, made.notes);
    out.push_back(std::move(made.document));
  }
  return out;
}

Status run_convert(const Conversion& o) {
  TRY_ASSIGN(const ModelFormat to, twin::parse_model_format(o.to));
  Import import;
  import.sources = o.sources;
  import.from = o.from;
  TRY_ASSIGN(Json documents, read_documents(import));
  if (to != ModelFormat::kDtdl) {
    TRY_ASSIGN(documents, write_foreign(to, documents, o.sources.front()));
  }
  return write_output(o.output, documents.size() == 1 ? documents.front() : documents);
}

}  // namespace

void add_model_exchange(CLI::App& model) {
  const auto import = std::make_shared<Import>();
  auto* command = add_remote(
      &model, "import", "Add models from files, folders or a repository, all or nothing",
      [import](HttpClient& http, const Remote& r) { return run_import(*import, http, r); });
  command
      ->add_option("sources", import->sources,
                   "JSON files or folders; with --repository: DTMIs with versions")
      ->required();
  command->add_option("--from", import->from, "dtdl, wot (W3C Thing Description) or aas (submodel)")
      ->check(CLI::IsMember({"dtdl", "wot", "aas"}))
      ->capture_default_str();
  command->add_option("--id", import->id, "What the interface is called; with wot and aas");
  command->add_option("--repository", import->repository,
                      "Device-model repository: a folder or https://…; read from here");
  command->add_flag("--dry-run", import->dry_run, "Print the DTDL and add nothing");

  const auto out = std::make_shared<Export>();
  command =
      add_remote(&model, "export", "A model as DTDL, WoT Thing Model or AAS submodel",
                 [out](HttpClient& http, const Remote& r) { return run_export(*out, http, r); });
  command->add_option("dtmi", out->dtmi, "Such as dtmi:penstock:ScrewCompressor;1")->required();
  command->add_option("--to", out->to, "dtdl (with all it needs), wot or aas")
      ->check(CLI::IsMember({"dtdl", "wot", "aas"}))
      ->capture_default_str();
  command->add_option("--output", out->output, "File; standard output where not given");

  const auto conversion = std::make_shared<Conversion>();
  command = model.add_subcommand("convert", "Files from one language to another, without a server");
  command->add_option("files", conversion->sources, "JSON files or folders")->required();
  command->add_option("--from", conversion->from, "dtdl, wot or aas")
      ->required()
      ->check(CLI::IsMember({"dtdl", "wot", "aas"}));
  command->add_option("--to", conversion->to, "dtdl, wot or aas")
      ->check(CLI::IsMember({"dtdl", "wot", "aas"}))
      ->capture_default_str();
  command->add_option("--output", conversion->output, "File; standard output where not given");
  on_run(command, [conversion] { return run_convert(*conversion); });
}

}  // namespace penstock::app::cli
