#pragma once
// Objects as DTDL interfaces, a device's objects as a model with a binding, and the way back: which
// path a command or a written property means. Pure.

#include "interop/lwm2m/book.h"
#include "interop/lwm2m/objects.h"
#include "twin/device_config.h"

namespace penstock::interop::lwm2m {

/// "dtmi:lwm2m:Temperature_3303;100": version 1.0 is 100, 1.2 is 102.
std::string object_dtmi(const ObjectDefinition& object);
/// "Sensor Value" -> "sensorValue"; a DTDL name. `id` makes it one where no letter is left.
std::string element_name(std::string_view words, uint16_t id);
/// Readable resources are telemetry, writable ones properties, executable ones commands.
/// `instances`: of the device's multiple resources; an absent one is one value.
Json object_interface(const ObjectDefinition& object);

/// {"dtmi", "interface": [documents], "binding": document}: components named after their objects
/// ("temperature", from the second instance on "temperature1"), elements "temperature.sensorValue"
/// from "/3303/0/5700". Objects 0 to 2 and those without a definition are left out and named in
/// "left_out".
Result<Json> propose_device(std::string_view device, std::span<const Path> instances,
                            const ObjectTable& table);
/// Which resource "device.reboot" is among a device's objects.
Result<Path> command_path(std::string_view command, std::span<const Path> instances,
                          const ObjectTable& table);
/// The write that makes `element` become `value`: the binding, backwards.
Result<OperationRequest> property_write(const twin::DeviceConfig& config, std::string_view element,
                                        const Json& value);

}  // namespace penstock::interop::lwm2m
