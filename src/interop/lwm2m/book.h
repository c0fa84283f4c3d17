#pragma once
// What people and programs ask of the LwM2M server. Answers are JSON in the shapes of the API's
// contract (openapi.json, Lwm2m*), so that API and command line show one thing.

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "base/json.h"
#include "base/time.h"
#include "interop/lwm2m/core_link.h"
#include "interop/lwm2m/value.h"

namespace penstock::interop::lwm2m {

enum class OperationKind : uint8_t {
  kRead,
  kWrite,
  kCreate,
  kDelete,
  kExecute,
  kDiscover,
  kWriteAttributes,
  kObserve,
  kCancelObserve,
};
std::string_view name(OperationKind kind);
/// Nothing: no such operation.
std::optional<OperationKind> parse_operation(std::string_view text);

struct OperationRequest {
  OperationKind kind = OperationKind::kRead;
  std::vector<Path> paths;  ///< several: a composite operation
  Json value;               ///< writes: of one resource, or {"resource path or id": value}
  std::string arguments;    ///< execute
  Attributes attributes;
  Format format = Format::kNone;  ///< asked for or written; none: as fits
  bool replace = true;            ///< writes to an instance: what is not named goes
  std::string who;
};

struct CredentialDraft {
  std::string endpoint, identity;  ///< identity empty: the endpoint's name
  std::string key_hex;             ///< empty: 16 random bytes
  bool bootstrap = false;
};

struct FirmwareRequest {
  std::string package;  ///< bytes
  std::string uri;      ///< instead: where the device finds it
  enum class Method : uint8_t { kAuto, kPush, kPull } method = Method::kAuto;
  bool apply = true;  ///< execute the update once it is downloaded
  std::string who;
};

/// Any thread.
class ClientBook {
 public:
  virtual ~ClientBook() = default;
  /// By endpoint, after `after`, at most `limit`.
  virtual Result<Json> clients(OrganisationId organisation, std::string_view after,
                               size_t limit) = 0;
  virtual Result<Json> client(OrganisationId organisation, std::string_view endpoint) = 0;
  /// Waits at most `wait` for the device; then the operation goes on, and operation() shows it.
  virtual Result<Json> operate(OrganisationId organisation, std::string_view endpoint,
                               OperationRequest request, Duration wait) = 0;
  virtual Result<Json> operation(OrganisationId organisation, std::string_view endpoint,
                                 std::string_view id) = 0;

  virtual Result<Json> credentials(OrganisationId organisation, std::string_view endpoint) = 0;
  /// The answer has the key, here and never again.
  virtual Result<Json> add_credential(OrganisationId organisation,
                                      const CredentialDraft& draft) = 0;
  virtual Status remove_credential(OrganisationId organisation, std::string_view identity) = 0;

  virtual Result<Json> bootstrap(OrganisationId organisation, std::string_view endpoint) = 0;
  virtual Result<Json> set_bootstrap(OrganisationId organisation, std::string_view endpoint,
                                     const Json& document) = 0;
  virtual Status remove_bootstrap(OrganisationId organisation, std::string_view endpoint) = 0;

  virtual Result<Json> start_firmware(OrganisationId organisation, std::string_view endpoint,
                                      FirmwareRequest request) = 0;
  virtual Result<Json> firmware(OrganisationId organisation, std::string_view endpoint) = 0;

  virtual Result<Json> objects() = 0;
  virtual Result<Json> upload_objects(std::string_view ddf) = 0;
  /// A DTDL interface and a binding for a client's objects, or for those of `paths`.
  virtual Result<Json> propose(OrganisationId organisation, std::string_view endpoint) = 0;
};

}  // namespace penstock::interop::lwm2m
