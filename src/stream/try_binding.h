#pragma once
// What a binding would make of a payload: for people who edit one. Nothing is stored.

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "stream/report.h"
#include "stream/telemetry.h"
#include "twin/binding.h"

namespace penstock::stream {

/// One wire value and what it came to, for one element; or for none.
struct TriedValue {
  std::string address;
  std::string wire;     ///< as JSON
  std::string element;  ///< empty: the binding leaves it out
  std::string stored;   ///< as JSON; empty where refused
  std::string unit;     ///< of the stored value
  std::string reason;   ///< a Reject's name; empty: stored
  Quality quality = Quality::kGood;
  Timestamp time;  ///< source time; 0: the time of arrival
};

struct TriedPayload {
  std::string device;  ///< that the topic names; empty: neither binding nor protocol says
  std::string reason;  ///< why the whole payload was refused; empty: it was not
  std::string about;   ///< the member that reason is about
  std::vector<TriedValue> values;
};

/// Reads a payload of a protocol that has its own, so that bindings can be tried on it. Any thread.
using ReportReader =
    std::function<Result<OwnedReport>(std::string_view topic, std::string_view payload)>;
/// By protocol.
using ReportReaders = std::map<std::string, ReportReader, std::less<>>;

/// `topic`: where the message came in; empty for a binding without one. kInvalidArgument: the
/// document does not fit the model.
Result<TriedPayload> try_binding(const twin::BindingDocument& document,
                                 const twin::ModelInfo& model, std::string_view topic,
                                 std::string_view payload, Timestamp received,
                                 const ReportReaders& readers = {});

}  // namespace penstock::stream
