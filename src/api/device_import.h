#pragma once
// A CSV of devices, read and checked row by row. Pure but for what it asks the registry.

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "twin/registry.h"

namespace penstock::api {

struct ImportError {
  uint32_t line = 0;
  std::string column, message;
};

struct DeviceImport {
  std::vector<twin::DeviceDraft> drafts;
  std::vector<uint32_t> lines;  ///< of each draft
  std::vector<ImportError> errors;
  uint32_t rows = 0;
};

/// Columns: name, site, model, and where wanted display_name, binding, protocol, parent, twin,
/// stale_after_s, certificate_only, label.KEY. kInvalidArgument: a column that is none of these, or
/// more than 10,000 rows.
Result<DeviceImport> read_device_csv(const twin::TwinRegistry& twins, OrganisationId organisation,
                                     std::string_view csv);

/// name,token,site,twin of devices just made; quoted as RFC 4180 wants it.
std::string credentials_csv(const std::vector<twin::DeviceCreated>& made);

}  // namespace penstock::api
