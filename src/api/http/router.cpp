#include "api/http/router.h"

#include <algorithm>

#include "base/check.h"

namespace penstock::api {
namespace {

std::vector<std::string_view> split(std::string_view path) {
  std::vector<std::string_view> out;
  if (!path.empty() && path.front() == '/') path.remove_prefix(1);
  for (;;) {
    const auto slash = path.find('/');
    out.push_back(path.substr(0, slash));
    if (slash == std::string_view::npos) return out;
    path.remove_prefix(slash + 1);
  }
}

bool is_parameter(std::string_view segment) { return !segment.empty() && segment.front() == '{'; }

/// How many parameters a pattern has where `path` matches it; -1 where it does not.
int match(const std::vector<std::string>& pattern, const std::vector<std::string>& path) {
  if (pattern.size() != path.size()) return -1;
  int parameters = 0;
  for (size_t i = 0; i < path.size(); ++i) {
    if (is_parameter(pattern[i])) {
      if (path[i].empty()) return -1;
      ++parameters;
    } else if (pattern[i] != path[i]) {
      return -1;
    }
  }
  return parameters;
}

}  // namespace

const std::string& Call::parameter(std::string_view field) const {
  for (const auto& [key, value] : path)
    if (key == field) return value;
  CHECK(false && "the route has no such parameter");
  __builtin_unreachable();
}

void Router::add(Route route) {
  for (const auto& other : routes_)
    CHECK(other.method != route.method || other.pattern != route.pattern);
  auto& segments = segments_.emplace_back();
  for (const auto segment : split(route.pattern)) segments.emplace_back(segment);
  routes_.push_back(std::move(route));
}

Router::Match Router::find(Method method, std::string_view raw_path) const {
  Match found;
  if (raw_path.size() > 1 && raw_path.back() == '/') raw_path.remove_suffix(1);
  std::vector<std::string> path;
  for (const auto segment : split(raw_path)) {
    auto decoded = percent_decode(segment, false);
    if (!decoded) return found;
    path.push_back(std::move(*decoded));
  }
  const Method wanted = method == Method::kHead ? Method::kGet : method;
  int fewest = 1000;
  size_t best = routes_.size();
  for (size_t i = 0; i < routes_.size(); ++i) {
    const int parameters = match(segments_[i], path);
    if (parameters < 0) continue;
    found.allowed.push_back(routes_[i].method);
    if (routes_[i].method == wanted && parameters < fewest) {
      fewest = parameters;
      best = i;
    }
  }
  if (best == routes_.size()) return found;
  found.route = &routes_[best];
  for (size_t i = 0; i < path.size(); ++i) {
    const std::string& segment = segments_[best][i];
    if (is_parameter(segment))
      found.path.emplace_back(segment.substr(1, segment.size() - 2), std::move(path[i]));
  }
  return found;
}

}  // namespace penstock::api
