#pragma once
// How the messages of an unregistered device come to the elements of the interface proposed for it:
// a binding document for its whole class, for a person to check. Pure.

#include <span>
#include <string>
#include <string_view>

#include <nlohmann/json_fwd.hpp>

#include "twin/proposal.h"

namespace penstock::twin {

/// The protocol that an origin or topic names: "sparkplug:…" is sparkplug, a topic is mqtt.
std::string_view protocol_of_origin(std::string_view origin);

/// What devices of one kind have in common: "pump-7" and "pump-8" are of the class "pump". A slug.
std::string class_name(std::string_view device);

/// The pattern of a device's topics: its name becomes {device}, levels in which the topics differ
/// become {level1}, …; the last one {element} where `scalar`. Empty: devices/{device}/telemetry,
/// which needs none, or nothing that holds for all.
std::string propose_topic(std::string_view device, std::span<const std::string> topics,
                          bool scalar = false);

/// Takes the member that says when ("ts", "timestamp", …) out of the elements and the interface;
/// empty: there is none.
std::string take_time(Proposal& proposal);

/// How the payloads are laid out, where the protocol does not say.
struct PayloadShape {
  bool json = true;      ///< as the device wrote it; false: a codec's report, by address
  bool wrapped = false;  ///< {"ts":…,"values":{…}}
  std::string time;      ///< the member that take_time() found
};

/// The document as JSON; null where none is needed: telemetry JSON at its own topic, whose names
/// the device's own bindings map (Proposal::bindings).
nlohmann::json propose_binding(std::string_view device, std::string_view protocol,
                               std::span<const std::string> topics, const PayloadShape& shape,
                               const Proposal& proposal);

}  // namespace penstock::twin
