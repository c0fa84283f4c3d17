#pragma once
// The device-model repositories that the configuration allows: the server reads from no other
// place, whatever a request says.

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "twin/model_repository.h"

namespace penstock::api {

struct ModelRepositoryInfo {
  std::string name;      ///< what a request says
  std::string location;  ///< folder or address
};

class ModelRepositories {
 public:
  virtual ~ModelRepositories() = default;
  [[nodiscard]] virtual std::vector<ModelRepositoryInfo> all() const = 0;
  /// Blocks up to half a minute. kPermissionDenied: not one of them. Any thread.
  virtual Result<twin::FetchedModels> fetch(std::string_view name,
                                            std::span<const std::string> dtmis) = 0;
};

}  // namespace penstock::api
