#pragma once
// How things are named: slugs, ids as people see them, time zones. One place decides what is valid.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/ids.h"
#include "base/result.h"

namespace penstock::twin {

/// A slug: ^[a-z0-9][a-z0-9_-]{0,62}$, and not of the form of an id ("twn_12", "site_3"), so that a
/// path may hold either. `what` names the thing in the error: "twin", "site".
Status check_slug(std::string_view what, std::string_view slug);

/// A device's name on the wire: 1 to 128 printable ASCII characters without the MQTT wildcards,
/// '/', '"', '\' and spaces. Wider than a slug: serial numbers and MAC addresses are names too.
Status check_device_name(std::string_view name);

/// Text for people: at most `length_max` bytes of it, no control characters.
Status check_text(std::string_view what, std::string_view text, size_t length_max);

/// An IANA time-zone name that this machine's tzdata knows ("Europe/Berlin", "UTC").
Status check_time_zone(std::string_view name);

/// MQTT topic filter (MQTT 5.0 section 4.7.1): '#' last and alone, '+' alone in its level, no
/// U+0000, 1 to 1024 bytes.
Status check_topic_filter(std::string_view filter);

/// "twn_12", "site_3": ids as people and programs see them.
std::string to_text(TwinId id);
std::string to_text(SiteId id);
/// 12 of "twn_12"; nothing for a text of another form.
std::optional<TwinId> parse_twin_id(std::string_view text);
std::optional<SiteId> parse_site_id(std::string_view text);

/// A slug made of any text: lower case, other characters become '-'. May be empty.
std::string slug_of(std::string_view text);

/// Whether `text` matches `glob`: '*' any run, '?' any one character. Linear in both, no recursion.
bool matches_glob(std::string_view glob, std::string_view text);

}  // namespace penstock::twin
