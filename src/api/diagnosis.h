#pragma once
// Why is this device silent? From what the server knows of it, the likely causes, each with what to
// do. Pure: facts in, sentences out.

#include <optional>
#include <string>
#include <vector>

#include "base/time.h"
#include "stream/views.h"
#include "twin/knocks.h"
#include "twin/records.h"

namespace penstock::api {

struct DiagnosisFacts {
  Timestamp now;
  const twin::DeviceRecord* device = nullptr;  ///< REQUIRES: not null
  std::optional<stream::ConnectionState> connection;
  std::vector<twin::Refusals> refusals;
  Timestamp certificate_expires;  ///< 0: it showed none
  bool binding_inactive = false;  ///< it has a binding of which no version is active
  std::string binding_topic;      ///< pattern that its binding reads; may be empty
  std::string journal_trouble;    ///< a sentence; empty: the journal writes
  Duration stale_after = Duration::seconds(60);
};

enum class CauseSeverity : uint8_t { kError, kWarning, kInfo };
std::string_view name(CauseSeverity severity);

struct Cause {
  std::string code;  ///< stable, for programs
  CauseSeverity severity = CauseSeverity::kError;
  std::string title, detail, remedy;
};

struct Diagnosis {
  std::string state;          ///< ok, silent, never_seen, disabled, failing
  std::vector<Cause> causes;  ///< the likeliest first
};

Diagnosis diagnose(const DiagnosisFacts& facts);

}  // namespace penstock::api
