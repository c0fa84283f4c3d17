#pragma once
// Reads what a request brings: a JSON body member by member, query parameters, pages. The first
// thing that is wrong is what the client is told; after it every read gives an empty value.

#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "api/http/message.h"
#include "base/json.h"
#include "base/result.h"

namespace penstock::api {

/// The members of a JSON object. done() also refuses members that nobody asked for: a typing error
/// must not pass as a default.
class BodyReader {
 public:
  /// Parses the body of a request; an empty one counts as {} where `may_be_empty`.
  static Result<BodyReader> of(const Request& request, bool may_be_empty = false);
  explicit BodyReader(Json object, std::string prefix = {});

  std::string text(std::string_view member, size_t length_max = 2000);  ///< required, not empty
  std::string optional_text(std::string_view member, size_t length_max = 2000);  ///< "" when absent
  std::optional<std::string> maybe_text(std::string_view member, size_t length_max = 2000);
  double number(std::string_view member);
  std::optional<double> maybe_number(std::string_view member);
  std::optional<int64_t> maybe_integer(std::string_view member, int64_t minimum, int64_t maximum);
  std::optional<bool> maybe_boolean(std::string_view member);
  std::optional<std::vector<std::string>> maybe_texts(std::string_view member,
                                                      size_t count_max = 1000);
  /// A member of any type; null when absent.
  const Json& any(std::string_view member);
  [[nodiscard]] bool has(std::string_view member) const { return object_.contains(member); }
  [[nodiscard]] bool is_null(std::string_view member) const {
    return has(member) && object_.at(std::string(member)).is_null();
  }
  /// Notes a problem of a member, unless there is one already.
  void complain(std::string_view member, std::string what);
  [[nodiscard]] Status done() const;

 private:
  const Json* take(std::string_view member);
  Json object_;
  std::string prefix_;
  std::set<std::string, std::less<>> taken_;
  std::optional<Error> error_;
};

/// A page of a list: ?limit and ?cursor.
struct Page {
  size_t limit = 100;
  std::string
      after;  ///< where the page before ended: what encode_cursor was given; empty: the start

  static Result<Page> of(const Request& request, size_t limit_default = 100);
};
/// Cursors are opaque to clients: base64url of the position.
std::string encode_cursor(std::string_view position);

/// {"items": …, "next_cursor": …}. `next`: the position after the last item; empty: no more.
Response list_response(Json items, std::string_view next);

/// true, false or absent.
Result<std::optional<bool>> query_boolean(const Request& request, std::string_view field);
/// RFC 3339, "now", or relative to it: "-1h". Absent: `otherwise`.
Result<Timestamp> parse_time(std::string_view text, Timestamp now, Timestamp otherwise);
/// "rule_12" -> 12.
std::optional<uint64_t> numbered_id(std::string_view text, std::string_view prefix);
/// JSON of an instant: RFC 3339, or null for "never".
Json time_or_null(Timestamp time);

}  // namespace penstock::api
