#include "app/model_repositories.h"

#include "app/repository_files.h"

namespace penstock::app {

Result<std::unique_ptr<ConfiguredRepositories>> ConfiguredRepositories::create(
    const std::vector<std::string>& configured, Clock& clock) {
  std::unique_ptr<ConfiguredRepositories> made(new ConfiguredRepositories(clock));
  for (const std::string& text : configured) {
    const size_t equals = text.find('=');
    const std::string name = text.substr(0, equals);
    const std::string location = equals == std::string::npos ? text : text.substr(equals + 1);
    TRY_ASSIGN(auto files, repository_files(location));
    if (!made->repositories_.emplace(name, Repository{location, std::move(files)}).second)
      return fail(ErrorCode::kInvalidArgument, "Two model repositories have one name", name);
  }
  return made;
}

std::vector<api::ModelRepositoryInfo> ConfiguredRepositories::all() const {
  std::vector<api::ModelRepositoryInfo> out;
  for (const auto& [name, repository] : repositories_) out.push_back({name, repository.location});
  return out;
}

Result<twin::FetchedModels> ConfiguredRepositories::fetch(std::string_view name,
                                                          std::span<const std::string> dtmis) {
  const auto found = repositories_.find(name);
  if (found == repositories_.end())
    return fail(ErrorCode::kPermissionDenied,
                "The server reads only from the repositories of its configuration "
                "(--model-repository NAME=URL); the command line can read any: penstock model "
                "import --repository",
                std::string(name));
  return twin::fetch_models(dtmis, found->second.files, clock_);
}

}  // namespace penstock::app
