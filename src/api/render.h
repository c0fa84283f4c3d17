#pragma once
// How records look in JSON, where more than one resource shows them.

#include <array>
#include <map>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "api/access/permissions.h"
#include "api/http/arguments.h"
#include "api/services.h"
#include "base/json.h"
#include "stream/views.h"
#include "twin/names.h"
#include "twin/registry.h"

namespace penstock::api {

/// A live value as JSON: number, boolean, text, or the object it is; null for NaN and the
/// infinities.
Json value_json(const stream::LiveValue& value);
std::string_view type_name(twin::ValueKind kind);
/// A number that may be missing.
Json number_or_null(std::optional<double> number);
Json text_or_null(std::string_view text);  ///< empty: null

/// key, display_name, kind, type, writable, unit, semantic_type, minimum, maximum, enum_values.
Json element_json(const twin::ElementInfo& element);
Json command_json(const twin::CommandInfo& command);

/// Counts of alarms by priority, critical first.
struct AlarmCounts {
  std::array<uint32_t, 4> by_priority{};
  uint32_t unacknowledged = 0;
  void add(size_t priority, bool acknowledged);
  [[nodiscard]] Json json() const;
  [[nodiscard]] Json worst() const;  ///< the worst priority's name, or null
};

/// Whether `part` occurs in `text`; ASCII case does not matter.
bool contains_text(std::string_view text, std::string_view part);

/// The open alarms, counted by twin and site.
class AlarmTally {
 public:
  static Result<AlarmTally> of_open(const Services& services, OrganisationId organisation);
  [[nodiscard]] const AlarmCounts& twin(TwinId id) const;
  [[nodiscard]] const AlarmCounts& site(SiteId id) const;

 private:
  std::unordered_map<TwinId, AlarmCounts> twins_;
  std::unordered_map<SiteId, AlarmCounts> sites_;
};

/// The twin that a reference names, if the principal sees its site and may do `permission` there.
Result<twin::TwinPtr> find_twin(const Services& services, const access::Principal& principal,
                                access::Permission permission, std::string_view reference);
Result<twin::SitePtr> find_site(const Services& services, const access::Principal& principal,
                                access::Permission permission, std::string_view reference);
/// The names of sites; those that are gone are left out.
Json site_names(const Services& services, const std::vector<SiteId>& sites);

/// The member `labels` of a body: free texts by key.
std::map<std::string, std::string> read_labels(BodyReader& body);

/// Collects one page of what `visible` lets through, asking `next_page(PageRequest)` as often as it
/// takes.
template <class Item, class NextPage, class Visible>
Result<twin::Page<Item>> visible_page(twin::PageRequest request, NextPage&& next_page,
                                      Visible&& visible) {
  twin::Page<Item> out;
  const size_t wanted = request.limit;
  for (;;) {
    request.limit = wanted - out.items.size();
    Result<twin::Page<Item>> page = next_page(request);
    if (!page) return page;
    for (auto& item : page->items)
      if (visible(item)) out.items.push_back(std::move(item));
    if (page->next_cursor.empty()) return out;
    request.cursor = page->next_cursor;
    if (out.items.size() >= wanted) {
      out.next_cursor = std::move(request.cursor);
      return out;
    }
  }
}

}  // namespace penstock::api
