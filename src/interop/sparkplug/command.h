#pragma once
// NCMD and DCMD payloads: a write to one metric (Sparkplug 3.0, 5.10 and 6.4.19).

#include <string_view>

#include "base/bytes.h"
#include "base/result.h"
#include "base/time.h"
#include "interop/sparkplug/values.h"

namespace penstock::interop::sparkplug {

/// Node Control/Rebirth = true, by name (the birth may not give it an alias).
void encode_rebirth(Bytes& out, Timestamp now);

/// A metric of `known` set to `value` (JSON text), in its datatype; by its alias where the birth
/// gave one (tck-id-payloads-alias-data-cmd-requirement), else by its name. The time is that of
/// the command; a command has no sequence number. Refused with a sentence: unknown metrics,
/// values that are not of the datatype, members of templates, datasets.
Status encode_write(Bytes& out, const Dictionary& known, std::string_view metric,
                    std::string_view value, Timestamp now);

}  // namespace penstock::interop::sparkplug
