#include "twin/model_repository.h"

#include <algorithm>
#include <set>

#include <fmt/format.h>

#include "base/json.h"
#include "twin/dtdl/metamodel.h"
#include "twin/dtdl/parser.h"

namespace penstock::twin {

Result<std::string> repository_path(std::string_view dtmi, bool expanded) {
  const size_t version = dtmi.find(';');
  if (version == dtmi.npos || !dtdl::is_dtmi(dtmi, 3))
    return fail(ErrorCode::kInvalidArgument,
                "A model in a repository is named by its DTMI with a version, as "
                "dtmi:com:example:Thermostat;1",
                std::string(dtmi));
  std::string path;
  for (const char c : dtmi) {
    if (c == ':')
      path += '/';
    else if (c == ';')
      path += '-';
    else
      path += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  }
  return path + (expanded ? ".expanded.json" : ".json");
}

namespace {

class Gatherer {
 public:
  Gatherer(const FetchFile& fetch, Clock& clock, const RepositoryLimits& limits)
      : fetch_(fetch),
        clock_(clock),
        limits_(limits),
        end_us_(clock.monotonic_us() + limits.time_ms_max * 1000) {}

  Result<FetchedModels> run(std::span<const std::string> dtmis) {
    TRY(read_metadata());
    for (const std::string& id : dtmis) TRY(take(id));
    std::vector<std::string> texts;
    for (const ModelDocument& document : out_.documents) texts.push_back(document.text);
    // What they refer to: the parser asks for it. It may ask again after a file that failed.
    std::optional<Error> error;
    dtdl::ParseOptions options;
    options.resolve = [&](const std::vector<std::string>& wanted) {
      std::vector<std::string> found;
      for (const std::string& id : wanted) {
        if (error) break;
        const size_t before = out_.documents.size();
        if (const Status done = take(interface_of(id)); !done) error = done.error();
        for (size_t i = before; i < out_.documents.size(); ++i)
          found.push_back(out_.documents[i].text);
      }
      return found;
    };
    const std::vector<std::string_view> views(texts.begin(), texts.end());
    const auto result = dtdl::parse(views, options);
    if (error) return fail(*std::move(error));
    if (!result.errors.empty())
      return fail(
          ErrorCode::kInvalidArgument,
          "The repository holds a document that is not valid: " + result.errors.front().text(),
          result.errors.front().element);
    return std::move(out_);
  }

 private:
  // An element's identifier "dtmi:a:B:_contents:__x;1" stands in the file of its interface.
  static std::string interface_of(const std::string& id) {
    const size_t inner = id.find(":_"), version = id.find(';');
    if (inner == id.npos || version == id.npos || inner > version) return id;
    return id.substr(0, inner) + id.substr(version);
  }

  Status read_metadata() {
    TRY_ASSIGN(const auto text, read("metadata.json"));
    const auto json = text ? parse_json(*text) : Result<Json>(Json());
    if (!json || !json->is_object()) return {};
    const auto features = json->find("features");
    expanded_ = features != json->end() && features->is_object() &&
                features->value("expanded", Json()) == true;
    return {};
  }

  // Reads the file of an interface, unless it is there.
  Status take(const std::string& id) {
    if (have_.contains(id)) return {};
    TRY_ASSIGN(const std::string path, repository_path(id));
    std::optional<std::string> text;
    if (expanded_) {
      TRY_ASSIGN(const std::string whole, repository_path(id, true));
      TRY_ASSIGN(text, read(whole));
    }
    if (!text) {
      TRY_ASSIGN(text, read(path));
    }
    if (!text)
      return fail(ErrorCode::kNotFound,
                  "The repository has no such file: check the identifier and the repository", path);
    auto parts = split_models(*text, limits_.file_bytes_max);
    if (!parts) return fail(parts.error().code, parts.error().message, path);
    for (ModelDocument& part : *parts)
      if (have_.insert(part.dtmi).second) out_.documents.push_back(std::move(part));
    if (!have_.contains(id))
      return fail(ErrorCode::kCorrupt,
                  fmt::format("The repository's file does not hold {} (capitals count)", id), path);
    return {};
  }

  Result<std::optional<std::string>> read(const std::string& path) {
    const int64_t left_ms = (end_us_ - clock_.monotonic_us()) / 1000;
    if (left_ms <= 0)
      return fail(
          ErrorCode::kTimeout,
          fmt::format("The repository did not answer all within {} s", limits_.time_ms_max / 1000),
          path);
    if (out_.files.size() >= limits_.files_max)
      return fail(ErrorCode::kResourceExhausted,
                  fmt::format("More than {} files belong to it", limits_.files_max), path);
    if (bytes_ >= limits_.bytes_max)
      return fail(ErrorCode::kResourceExhausted,
                  fmt::format("More than {} bytes belong to it", limits_.bytes_max), path);
    TRY_ASSIGN(auto text, fetch_(path, limits_.file_bytes_max, left_ms));
    if (text) {
      out_.files.push_back(path);
      bytes_ += text->size();
    }
    return text;
  }

  const FetchFile& fetch_;
  Clock& clock_;
  const RepositoryLimits& limits_;
  int64_t end_us_;
  bool expanded_ = false;
  size_t bytes_ = 0;
  std::set<std::string, std::less<>> have_;
  FetchedModels out_;
};

}  // namespace

Result<FetchedModels> fetch_models(std::span<const std::string> dtmis, const FetchFile& fetch,
                                   Clock& clock, const RepositoryLimits& limits) {
  return Gatherer(fetch, clock, limits).run(dtmis);
}

}  // namespace penstock::twin
