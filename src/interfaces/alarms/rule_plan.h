#pragma once
// From rules as people write them, with a scope, to rules on single twins.

#include <vector>

#include "interfaces/alarms/compiled_rule.h"
#include "interfaces/alarms/rule_store.h"
#include "twin/registry.h"

namespace penstock::interfaces {

/// One compiled rule for each twin of its scope that has a device and the element; none where the
/// rule is disabled or its scope is gone. Call it again when rules or twins change. Any thread.
std::vector<CompiledRule> plan_rules(const RuleStore& rules, const twin::TwinRegistry& twins);

/// What a detector watches: the elements it names, or all numeric telemetry where it names none.
std::vector<SeriesId> watched_series(const DetectorItem& detector, const twin::TwinRecord& twin);

}  // namespace penstock::interfaces
