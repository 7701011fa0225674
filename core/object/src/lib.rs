//! What both sides of an object call share: names, registers, layout, errors
