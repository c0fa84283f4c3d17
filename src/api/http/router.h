#pragma once
// From method and path to a handler, with what it needs to be allowed to run.

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "api/access/permissions.h"
#include "api/http/message.h"
#include "api/http/server.h"

namespace penstock::api {

/// One request on its way through a handler.
struct Call {
  const Request& request;
  const access::Principal& principal;  ///< of an open route: empty
  const Cancellation& cancellation;
  Fields path;  ///< decoded path parameters

  /// REQUIRES: the route's pattern has {field}.
  [[nodiscard]] const std::string& parameter(std::string_view field) const;
};

using Handler = std::function<Result<Response>(const Call&)>;

struct Route {
  Method method = Method::kGet;
  std::string pattern;                           ///< "/api/v1/twins/{id}"
  std::optional<access::Permission> permission;  ///< nothing: open to everybody
  Handler handler;
  Lane lane = Lane::kQuick;
  size_t body_bytes_max = 256 * 1024;
  bool any_content = false;  ///< else a body is JSON
};

class Router {
 public:
  /// REQUIRES: no route with the same method and pattern yet.
  void add(Route route);

  struct Match {
    const Route* route = nullptr;  ///< null: nothing there, or not with this method
    Fields path;
    std::vector<Method> allowed;  ///< methods that this path has; empty: no such path
  };
  /// HEAD finds the GET route. A literal segment wins over a parameter.
  [[nodiscard]] Match find(Method method, std::string_view raw_path) const;
  [[nodiscard]] const std::vector<Route>& routes() const { return routes_; }

 private:
  std::vector<Route> routes_;
  std::vector<std::vector<std::string>> segments_;  ///< parallel to routes_
};

}  // namespace penstock::api
