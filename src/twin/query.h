#pragma once
// Which twins? A structured filter, and the line of text that people type for it.

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace penstock::twin {

/// All conditions must hold; an empty one holds always. References are names or ids.
struct TwinFilter {
  std::string text;       ///< each word occurs in name, display name, device, model or a label
  std::string site;       ///< of that site
  std::string model;      ///< of that DTMI or of one that extends it; without ";n": any version
  std::string name_glob;  ///< '*' and '?'
  std::vector<std::pair<std::string, std::string>> labels;  ///< label equals text
  std::string relationship;                                 ///< has a relationship of that name …
  std::string related_to;  ///< … to that twin (either alone: any name, any target)
  std::string below;       ///< part of that twin, at any depth; the twin itself is not
  std::string device;      ///< fed by that device
  std::optional<bool> has_device;
};

/// Reads "site:north model:dtmi:com:acme:Compressor name:comp-* label.vendor:acme below:line-1 dry"
/// (any order): words with a known key and ':' are conditions (site, model, name, below, device,
/// related, relationship, label.KEY, has:device, no:device), "quotes" hold words together, all else
/// is text. Unknown keys are text too: a serial number may hold a colon.
Result<TwinFilter> parse_twin_query(std::string_view line);

/// Where a page ends: pass `next_cursor` to get the one after it; empty: that was all.
template <class Item>
struct Page {
  std::vector<Item> items;
  std::string next_cursor;
};

/// A page's start and size.
struct PageRequest {
  std::string cursor;  ///< of the page before; empty: from the beginning
  size_t limit = 100;  ///< 1 to 1000
};

}  // namespace penstock::twin
