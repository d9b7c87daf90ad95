"""HTTP for every app: middleware, problem documents, pagination."""
